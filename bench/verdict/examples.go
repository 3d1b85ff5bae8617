package verdict

import (
	"cmp"
	"slices"

	"shakedown/bench/record"
)

// keptExamples bounds the examples of one variant at one level.
const keptExamples = 30

// An Example is one of the things that audits or probes counted, as a text that a person can follow. Trials that found the same share it.
type Example struct {
	Text string `json:"text"`
	// Seen is where it was found, in the order of the table.
	Seen []Sighting `json:"seen"`
}

// A Sighting is the trial in which an example was found.
type Sighting struct {
	Trial   int    `json:"trial"`
	Variant string `json:"variant"`
	Level   string `json:"level,omitempty"`
	Repeat  int    `json:"repeat"`
}

// example is one as it was heard.
type example struct {
	Sighting
	texts []string
}

func exampleOf(t record.Trial) example {
	return example{Sighting{t.Index, t.Variant, t.Level, t.Repeat}, t.Audit.Examples}
}

// examples are those of all trials: level by level, variant by variant, the first repeat first.
func (j *judge) examples() []Example {
	e := j.run.Experiment
	place := func(x example) (level, variant int) {
		for i, l := range e.LevelList() {
			if l.Name == x.Level {
				level = i
			}
		}
		return level, slices.Index(e.VariantNames(), x.Variant)
	}
	heard := slices.Clone(j.heard)
	slices.SortStableFunc(heard, func(a, b example) int {
		al, av := place(a)
		bl, bv := place(b)
		return cmp.Or(cmp.Compare(al, bl), cmp.Compare(av, bv), cmp.Compare(a.Repeat, b.Repeat), cmp.Compare(a.Trial, b.Trial))
	})
	var all []Example
	kept := map[cell]int{}
	for _, x := range heard {
		for _, text := range x.texts {
			i := slices.IndexFunc(all, func(a Example) bool { return a.Text == text })
			at := cell{x.Variant, x.Level}
			switch {
			case i >= 0:
				all[i].Seen = append(all[i].Seen, x.Sighting)
			case kept[at] < keptExamples:
				kept[at]++
				all = append(all, Example{text, []Sighting{x.Sighting}})
			}
		}
	}
	return all
}
