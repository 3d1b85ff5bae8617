package benchmark

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bench is a rig that counts.
type bench struct {
	Options

	stopped int
	fails   error
}

func (b *bench) Facts() []Fact { return []Fact{{"quick", Pick(b.Options, "no", "yes")}} }

func (b *bench) Stop() error {
	b.stopped++
	return b.fails
}

// command measures what it is told to, on rigs that are b's.
func command(b *bench) Command[*bench] {
	section := func(title string, err error) func(context.Context, *bench) (Section, error) {
		return func(_ context.Context, b *bench) (Section, error) {
			b.Say("at %s", title)
			return Section{Title: title, Text: "Words."}, err
		}
	}
	return Command[*bench]{
		Name: "thingbench", Does: "compares things", Tools: "where things are", Page: Page{Title: "Things", Script: "bench-things"},
		Experiments: []Experiment[*bench]{
			{Name: "one", About: "the first thing", Run: section("The first", nil)},
			{Name: "two", About: "the second thing", Run: section("The second", nil)},
			{Name: "bad", About: "what fails", Run: section("The bad", errors.New("no server"))},
		},
		Parts: map[string]func([]string) error{"serve": func(args []string) error { return errors.New("served " + strings.Join(args, " ")) }},
		Start: func(_ context.Context, o Options) (*bench, error) {
			b.Options = o
			return b, nil
		},
	}
}

func TestExperimentsAreChosenByNameAndRunInTheirOwnOrder(t *testing.T) {
	var b bench
	var out, progress bytes.Buffer
	if err := command(&b).run(t.Context(), []string{"--quick", "--bin", "there", "two", "one"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	first, second := strings.Index(out.String(), "## The first"), strings.Index(out.String(), "## The second")
	if first < 0 || second < first {
		t.Errorf("the page is\n%s", out.String())
	}
	if strings.Contains(out.String(), "The bad") || !strings.Contains(out.String(), "| quick | yes |") || b.Bin != "there" || b.stopped != 1 {
		t.Errorf("the rig is %+v, the page\n%s", b, out.String())
	}
	if want := "thingbench: one: the first thing\n  at The first\nthingbench: two"; !strings.HasPrefix(progress.String(), want) {
		t.Errorf("the progress is\n%s", progress.String())
	}
}

func TestThePageGoesToAFile(t *testing.T) {
	var out bytes.Buffer
	file := filepath.Join(t.TempDir(), "page.md")
	if err := command(&bench{}).run(t.Context(), []string{"-o", file, "one"}, &out, &out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "# Things\n") {
		t.Errorf("%v: %s", err, text)
	}
}

func TestWhatFailsIsNamedAndTheRigIsStopped(t *testing.T) {
	b := bench{fails: errors.New("cannot stop")}
	err := command(&b).run(t.Context(), []string{"bad"}, &bytes.Buffer{}, &bytes.Buffer{})
	if err == nil || err.Error() != "bad: no server\ncannot stop" || b.stopped != 1 {
		t.Errorf("%v; stopped %d times", err, b.stopped)
	}
}

func TestWhatIsNotThereIsNotStarted(t *testing.T) {
	var b bench
	var said bytes.Buffer
	for _, tc := range []struct {
		arg, want string
	}{{"three", `there is no experiment "three"; see -h`}, {"-x", "flag provided but not defined: -x"}, {"-h", flag.ErrHelp.Error()}} {
		if err := command(&b).run(t.Context(), []string{tc.arg}, &said, &said); err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v", tc.arg, err)
		}
	}
	if b.stopped != 0 || !strings.Contains(said.String(), "  two        the second thing\n") {
		t.Errorf("stopped %d times; it said\n%s", b.stopped, said.String())
	}
}

func TestAPartIsAProgramOfItsOwn(t *testing.T) {
	if err := command(&bench{}).main([]string{"serve", "this"}); err == nil || err.Error() != "served this" {
		t.Errorf("%v", err)
	}
}
