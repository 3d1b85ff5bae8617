package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"shakedown/bench/record"
	"shakedown/bench/report"
)

var (
	scripts = regexp.MustCompile(`(?s)<script[^>]*>(.*?)</script>`)
	styles  = regexp.MustCompile(`(?s)<style>(.*?)</style>`)
	dataTag = regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`)
)

// embedded is the JSON that the page's script draws.
func embedded(t *testing.T, page []byte) []byte {
	t.Helper()
	m := dataTag.FindSubmatch(page)
	if m == nil {
		t.Fatal("the page has no data")
	}
	return m[1]
}

func TestThePageHoldsTheDataOfItsCharts(t *testing.T) {
	var b bytes.Buffer
	if err := json.Indent(&b, embedded(t, write(t, "html", single(), report.Options{})), "", " "); err != nil {
		t.Fatal(err)
	}
	// One number on a line is long to read: the lists go on one line.
	lists := regexp.MustCompile(`\[[-0-9.,\seEnul+]*\]`)
	golden(t, "single-charts.json", lists.ReplaceAllFunc(b.Bytes(), func(list []byte) []byte {
		return []byte(strings.Join(strings.Fields(string(list)), ""))
	}))
}

func TestThePageAsksTheNetworkForNothing(t *testing.T) {
	outside := regexp.MustCompile(`(?i)(?:src|href|action|poster|srcset)\s*=\s*["']?([^"'\s>]*)|url\(|@import|fetch\(|XMLHttpRequest|WebSocket|importScripts|<(?:iframe|object|embed|base|form[^>]*action)`)
	for name, in := range fixtures() {
		page := write(t, "html", in, report.Options{})
		for _, m := range outside.FindAllSubmatch(page, -1) {
			if target := string(m[1]); strings.HasPrefix(target, "#") || target == "data:," {
				continue
			}
			t.Errorf("%s: the page reaches out: %q", name, m[0])
		}
	}
}

func TestThePolicyAllowsThePagesOwnScriptAndStyleAndNoOther(t *testing.T) {
	page := write(t, "html", levels(), report.Options{})
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindSubmatch(page)
	if policy == nil {
		t.Fatal("the page has no policy")
	}
	allowed := strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(string(policy[1]))
	if !strings.HasPrefix(allowed, "default-src 'none';") || strings.Contains(allowed, "unsafe") {
		t.Errorf("the policy is lax: %s", allowed)
	}
	var parts [][]byte
	for _, m := range slices.Concat(scripts.FindAllSubmatch(page, -1), styles.FindAllSubmatch(page, -1)) {
		if !bytes.Contains(m[0], []byte("application/json")) {
			parts = append(parts, m[1])
		}
	}
	if len(parts) != 2 {
		t.Fatalf("%d scripts and styles, want one of each", len(parts))
	}
	for _, p := range parts {
		sum := sha256.Sum256(p)
		if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(allowed, want) {
			t.Errorf("the policy does not allow a script or style of the page itself (%d bytes)", len(p))
		}
	}
	if regexp.MustCompile(`<[^>]+\s(?:style|on[a-z]+)=`).Match(styles.ReplaceAll(scripts.ReplaceAll(page, nil), nil)) {
		t.Error("an element has an inline style or handler, which the policy forbids")
	}
}

func TestThePageIsWellFormedAndItsReferencesResolve(t *testing.T) {
	for name, in := range fixtures() {
		page := styles.ReplaceAll(scripts.ReplaceAll(write(t, "html", in, report.Options{}), nil), nil)
		dec := xml.NewDecoder(bytes.NewReader(page))
		dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
		ids, refs := map[string]int{}, []string{}
		var open []string
		for {
			tok, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			switch el := tok.(type) {
			case xml.StartElement:
				open = append(open, el.Name.Local)
				for _, a := range el.Attr {
					switch a.Name.Local {
					case "id":
						ids[a.Value]++
					case "aria-labelledby":
						refs = append(refs, a.Value)
					}
				}
			case xml.EndElement:
				if last := open[len(open)-1]; last != el.Name.Local {
					t.Fatalf("%s: </%s> closes <%s>", name, el.Name.Local, last)
				}
				open = open[:len(open)-1]
			}
		}
		for id, n := range ids {
			if n > 1 {
				t.Errorf("%s: %d elements have the id %q", name, n, id)
			}
		}
		for _, ref := range refs {
			if ids[ref] != 1 {
				t.Errorf("%s: nothing has the id %q that a section is labelled by", name, ref)
			}
		}
	}
}

func TestThePageEscapesWhatItQuotes(t *testing.T) {
	in := levels()
	const evil = `</script><script>alert("x")</script><b onclick=x>'`
	in.Result.Run.Experiment.Question = evil
	in.Result.Run.Experiment.Variants[0].Name = evil
	in.Result.Claims[0].Text = evil
	in.Result.Findings = []string{evil}
	page := write(t, "html", in, report.Options{})
	if bytes.Contains(page, []byte("<script>alert")) || bytes.Contains(page, []byte("<b onclick")) {
		t.Error("text of the run became mark-up")
	}
}

func TestThePageStaysSmallWhateverTheLengthOfTheRun(t *testing.T) {
	in := levels()
	load := in.Load
	in.Load = func(i int) (record.Data, error) {
		d, err := load(i)
		long := d
		long.Samples, long.Series = nil, slices.Clone(d.Series)
		for n := range 25 { // 120,000 arrivals in the same time …
			for _, s := range d.Samples {
				s.Seq += uint64(n * len(d.Samples))
				long.Samples = append(long.Samples, s)
			}
		}
		for j := range long.Series { // … and a scrape every 12.5 ms
			var points []record.Point
			for _, p := range long.Series[j].Points {
				for range 20 {
					points = append(points, p)
					p.At += 12500 * time.Microsecond
				}
			}
			long.Series[j].Points = points
		}
		return long, err
	}
	if n := len(write(t, "html", in, report.Options{})); n > 500_000 {
		t.Errorf("a page of six charted trials has %d bytes", n)
	}
}

func TestATrialThatCannotBeReadIsNamedAndTheOthersAreCharted(t *testing.T) {
	page := write(t, "html", void(), report.Options{})
	if !bytes.Contains(page, []byte("unexpected end of file")) {
		t.Error("the page does not say which trial could not be read")
	}
	var data struct{ Trials []json.RawMessage }
	if err := json.Unmarshal(embedded(t, page), &data); err != nil {
		t.Fatal(err)
	}
	if len(data.Trials) != 2 {
		t.Errorf("%d trials are charted, want the 2 that can be read", len(data.Trials))
	}
}

func TestTheFirstRepeatThatMayBeJudgedIsCharted(t *testing.T) {
	in := single()
	trials := in.Result.Trials
	again := trials[0]
	again.Index, again.Repeat = 7, 1
	trials[0].Void = []string{"lag"}
	in.Result.Trials = append(in.Result.Trials, again)
	var asked []int
	load := in.Load
	in.Load = func(i int) (record.Data, error) {
		asked = append(asked, i)
		return load(i % 3)
	}
	write(t, "html", in, report.Options{})
	if want := []int{7, 1, 2}; !slices.Equal(asked, want) {
		t.Errorf("loaded %v, want %v", asked, want)
	}
}
