package measure

import (
	"fmt"
	"strings"

	"shakedown/bench"
)

// words are the metrics as a sentence names them, where the name itself does not read.
var words = map[string]string{
	"useful": "useful answers", "ok": "ok answers", "degraded": "degraded answers", "refused": "refused arrivals",
	"failed": "failed arrivals", "unsure": "arrivals with an unsure outcome", "unsent": "unsent arrivals",
	"throughput_per_s": "throughput", "goodput_per_s": "goodput per second", "offered_per_s": "offered load",
	"response_ms": "response time", "answer_ms": "response time of answers", "service_ms": "service time",
	"send_lag_ms": "send lag", "age_ms": "age of answers", "in_flight": "requests in flight",
	"recover_s": "time to recover", "detect_s": "time to detect", "share_of_baseline": "share of the baseline's goodput",
}

// spanWords are the stats of spans; %s is the kind.
var spanWords = map[string]string{
	"count": "%s spans", "rate": "%s spans per second", "mean_ms": "mean %s time", "p50_ms": "median %s time", "p99_ms": "p99 %s time",
	"value_mean": "mean value of %s", "value_max": "largest value of %s", "concurrent_max": "most %s at once",
	"burst_mean": "mean burst of %s", "burst_max": "largest burst of %s", "burst_p50": "median burst of %s",
	"peak_100ms": "most %s within 100 ms",
}

// auditWords are the numbers of audits.
var auditWords = map[string]string{
	bench.AuditAcked: "acknowledged writes", bench.AuditLost: "acknowledged writes lost", bench.AuditLostS: "span of lost writes",
	bench.AuditChanged: "acknowledged writes changed", bench.AuditDoubled: "writes stored more than once",
	bench.AuditPhantom: "refused writes stored", bench.AuditUnsure: "unanswered writes", bench.AuditLanded: "unanswered writes stored",
}

// Describe is the query in words, without its variant and level: "p99 response time of get in the last half of
// recovery".
func Describe(q bench.Query) string {
	text, ok := words[q.Metric]
	if !ok {
		text = q.Metric
	}
	switch q.Metric {
	case "flag":
		text = "answers marked " + q.Name
	case "amplification":
		text = "attempts at " + q.Name + " per arrival"
	case "series":
		text = strings.TrimSpace(q.Stat + " " + q.Name)
	case "audit":
		text = q.Name
		if words, ok := auditWords[q.Name]; ok {
			text = words
		}
	case "span":
		if form, ok := spanWords[q.Stat]; ok {
			text = fmt.Sprintf(form, q.Name)
		}
	default:
		text = strings.TrimSpace(strings.ReplaceAll(q.Stat, "_", ".") + " " + text)
	}
	if q.Op != "" {
		text += " of " + q.Op
	}
	return text + whenWords(q)
}

func whenWords(q bench.Query) string {
	switch {
	case q.Phase == "" && q.Tail == 0:
		return ""
	case q.Metric == "recover_s":
		return " after " + q.Phase
	case q.Tail == 0 || q.Tail == 1:
		return " in " + q.Phase
	}
	part := fmt.Sprintf("%.0f %%", 100*q.Tail)
	switch q.Tail {
	case 0.5:
		part = "half"
	case 0.25:
		part = "quarter"
	}
	if q.Phase == "" {
		return " in the last " + part + " of each judged phase"
	}
	return " in the last " + part + " of " + q.Phase
}
