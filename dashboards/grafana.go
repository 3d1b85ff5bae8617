package dashboards

//go:generate go test -run TestTheDashboardIsFresh . -update

import (
	"encoding/json"
	"fmt"
)

// The identifiers by which Grafana knows the data source and the dashboard; the provisioning files use them too.
const (
	DatasourceUID = "shakedown-prometheus"
	DashboardUID  = "shakedown-run"
)

// object is a piece of Grafana's dashboard model, which has no published Go types of reasonable weight
// (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/).
type object = map[string]any

var datasource = object{"type": "prometheus", "uid": DatasourceUID}

// Render is the dashboard of a run as Grafana reads it: grafana/dashboards/run.json.
func Render() ([]byte, error) {
	dashboard := object{
		"uid": DashboardUID, "title": "shakedown: a run", "tags": []string{"shakedown"},
		"schemaVersion": 39, "editable": true, "graphTooltip": 1, "refresh": "2s", "timezone": "browser",
		"time":        object{"from": "now-5m", "to": "now"},
		"templating":  object{"list": []object{variable("variant"), variable("level")}},
		"annotations": object{"list": []object{annotation(FaultAnnotation)}},
		"panels":      panels(Sections()),
	}
	raw, err := json.MarshalIndent(dashboard, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("rendering the dashboard: %w", err)
	}
	return append(raw, '\n'), nil
}

// variable chooses among the values that a label of the trial has had.
func variable(label string) object {
	query := "label_values(" + TrialInfo + ", " + label + ")"
	return object{
		"name": label, "label": label, "type": "query", "datasource": datasource,
		"definition": query, "query": object{"query": query, "refId": "values"},
		"refresh": 2, // whenever the time range changes: variants come one after the other
		"multi":   true, "includeAll": true, "allValue": ".*", "sort": 1,
		"current": object{"text": []string{"All"}, "value": []string{"$__all"}},
	}
}

func annotation(a Annotation) object {
	return object{
		"name": a.Name, "datasource": datasource, "enable": true, "iconColor": "red",
		"expr": a.Expr, "step": "1s", "titleFormat": a.Title, "textFormat": a.Text, "tagKeys": "kind",
	}
}

const (
	columns    = 24
	height     = 8
	statHeight = 4
)

// panels lays the sections out from the top, left to right, with a title above each.
func panels(sections []Section) []object {
	var list []object
	y := 0
	for _, s := range sections {
		list = append(list, object{
			"id": len(list) + 1, "type": "row", "title": s.Title, "collapsed": false, "panels": []object{},
			"gridPos": position(0, y, columns, 1),
		})
		y++
		x, tallest := 0, 0
		for _, p := range s.Panels {
			if x+p.Width > columns {
				x, y, tallest = 0, y+tallest, 0
			}
			h := height
			if s.Title == sections[0].Title {
				h = statHeight
			}
			list = append(list, panel(p, len(list)+1, position(x, y, p.Width, h)))
			x, tallest = x+p.Width, max(tallest, h)
		}
		y += tallest
	}
	return list
}

func position(x, y, w, h int) object { return object{"x": x, "y": y, "w": w, "h": h} }

func panel(p Panel, id int, at object) object {
	targets := make([]object, 0, len(p.Queries))
	for i, q := range p.Queries {
		targets = append(targets, object{
			"refId": string(rune('A' + i)), "datasource": datasource, "expr": q.Expr, "legendFormat": q.Legend,
			"range": p.Kind != Stat, "instant": p.Kind == Stat,
		})
	}
	o := object{
		"id": id, "type": string(p.Kind), "title": p.Title, "description": p.About, "datasource": datasource,
		"gridPos": at, "targets": targets,
		"fieldConfig": object{"defaults": object{"unit": string(p.Unit), "min": 0}, "overrides": []object{}},
	}
	switch p.Kind {
	case Stat:
		o["options"] = object{"textMode": "name", "colorMode": "none", "graphMode": "none", "reduceOptions": object{"calcs": []string{"lastNotNull"}}}
	case TimeSeries:
		o["options"] = object{"legend": object{"displayMode": "list", "placement": "bottom"}, "tooltip": object{"mode": "multi"}}
	case StateTimeline:
		o["options"] = object{"showValue": "never", "mergeValues": true}
	}
	return o
}
