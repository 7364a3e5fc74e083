package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var sample = block{producer: "sample", first: 100, items: 200}

func line(t *testing.T, signal string) []byte {
	t.Helper()
	var text []byte
	var err error
	switch signal {
	case "traces":
		text, err = (&ptrace.JSONMarshaler{}).MarshalTraces(traces(sample))
	case "metrics":
		text, err = (&pmetric.JSONMarshaler{}).MarshalMetrics(metrics(sample))
	case "logs":
		text, err = (&plog.JSONMarshaler{}).MarshalLogs(logs(sample))
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Every item of every signal comes back through JSON with its own number and an
// intact seal.
func TestSealSurvivesJSON(t *testing.T) {
	for signal, read := range readers {
		f, err := read(line(t, signal))
		if err != nil || len(f.items) != sample.items || f.strangers != 0 {
			t.Fatalf("%s: %d items, %d strangers, %v", signal, len(f.items), f.strangers, err)
		}
		for _, i := range f.items {
			if !i.intact || i.producer != "sample" || i.number < 100 || i.number >= 300 {
				t.Fatalf("%s: %+v", signal, i)
			}
		}
	}
}

// A change of any part that a seal covers is noticed.
func TestSealBreaks(t *testing.T) {
	all := traces(sample)
	resource := all.ResourceSpans().At(0)
	scope := resource.ScopeSpans().At(0)
	span := scope.Spans().At(0)
	for what, change := range map[string]func(){
		"resource":  func() { resource.Resource().Attributes().PutStr("service.name", "other") },
		"scope":     func() { scope.Scope().SetVersion("2") },
		"attribute": func() { span.Attributes().PutStr("http.route", "/") },
		"lost":      func() { span.Attributes().Remove("big") },
		"flags":     func() { span.SetFlags(1) },
		"parent":    func() { span.SetParentSpanID([8]byte{1}) },
	} {
		before := sealSpan(resource, scope, span)
		change()
		if sealSpan(resource, scope, span) == before {
			t.Errorf("a changed %s went unnoticed", what)
		}
	}
	before := sealSpan(resource, scope, span)
	resource.Resource().Attributes().PutStr("k8s.cluster.name", "spoke")
	if sealSpan(resource, scope, span) != before {
		t.Error("a stamped cluster name counts as an alteration")
	}
}

// The books tell missing, repeated and foreign items apart, and a line that a kill
// cut short costs nothing but itself.
func TestCount(t *testing.T) {
	whole := line(t, "logs")
	file := filepath.Join(t.TempDir(), "logs.jsonl")
	cut := slices.Concat(whole[:len(whole)/2], whole, []byte("\n"), whole) // no line feed after the cut, nor at the end
	if err := os.WriteFile(file, cut, 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := count(t.Context(), []string{
		"--files", file, "--signal", "logs", "--producer", "sample,absent", "--first", "290", "--items", "20"})
	if err != nil {
		t.Fatal(err)
	}
	c := result.(counted)
	c.Producers = nil
	got := []int64{c.Lines, c.BrokenLines, c.Items, c.Distinct, c.Duplicates, c.Missing, c.Altered, c.Foreign}
	if want := []int64{3, 1, 400, 200, 200, 30, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if c.MissingIDs[0] != "sample-300" {
		t.Errorf("missing from %v", c.MissingIDs)
	}
}
