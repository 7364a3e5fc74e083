package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// counted is what `count` prints.
type counted struct {
	Signal      string           `json:"signal"`
	Files       int              `json:"files"`
	Lines       int64            `json:"lines"`
	Items       int64            `json:"items"`        // all, repeats included
	Distinct    int64            `json:"distinct"`     // by producer and number
	Duplicates  int64            `json:"duplicates"`   // items - distinct
	Missing     int64            `json:"missing"`      // of those asked for with --items
	MissingIDs  []string         `json:"missing_ids"`  // some of them
	Altered     int64            `json:"altered"`      // whose seal does not fit
	AlteredIDs  []string         `json:"altered_ids"`  // some of them
	Unsealed    int64            `json:"unsealed"`     // that never had a seal
	Foreign     int64            `json:"foreign"`      // without an id, or of another producer
	BrokenLines int64            `json:"broken_lines"` // cut short, by a writer that was killed
	Producers   map[string]int64 `json:"producers"`    // distinct items of each
}

// wanted is what the command line of `count` asks for.
type wanted struct {
	files        globs
	signal       string
	producers    []string
	items, first int64
	wait         time.Duration
}

type globs []string

func (g *globs) String() string     { return strings.Join(*g, ",") }
func (g *globs) Set(s string) error { *g = append(*g, s); return nil }

func count(ctx context.Context, arguments []string) (any, error) {
	var w wanted
	var producers string
	flags := flag.NewFlagSet("count", flag.ExitOnError)
	flags.Var(&w.files, "files", "glob of files of OTLP JSON lines; may be given again, all are counted together")
	flags.StringVar(&w.signal, "signal", "", "traces, metrics or logs")
	flags.StringVar(&producers, "producer", "", "count these producers only, separated by commas; empty for all")
	flags.Int64Var(&w.items, "items", 0, "how many items each producer sent, to know what is missing")
	flags.Int64Var(&w.first, "first", 0, "number of the first item")
	flags.DurationVar(&w.wait, "wait", 0, "go on reading until nothing is missing, at most this long")
	_ = flags.Parse(arguments)
	if producers != "" {
		w.producers = strings.Split(producers, ",")
	}
	read := readers[w.signal]
	switch {
	case len(w.files) == 0:
		return nil, errors.New("--files is missing")
	case read == nil:
		return nil, fmt.Errorf("--signal %q is not traces, metrics or logs", w.signal)
	}

	books := tally{producers: map[string]*account{}}
	tails := follower{}
	for deadline := time.Now().Add(w.wait); ; {
		last := ctx.Err() != nil || !time.Now().Before(deadline)
		lines := make(chan []byte, 64)
		var workers sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			workers.Go(func() {
				for line := range lines {
					found, err := read(line)
					books.add(found, err)
				}
			})
		}
		err := tails.readNew(w.files, w.signal, last, lines)
		close(lines)
		workers.Wait()
		if err != nil {
			return nil, err
		}
		report := books.report(w)
		report.Files = len(tails)
		if last || (w.items > 0 && report.Missing == 0) {
			return report, nil
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// tally is what was read so far.
type tally struct {
	lock      sync.Mutex
	lines     int64
	broken    int64
	strangers int64 // items without an id
	producers map[string]*account
}

// account is what was read of one producer.
type account struct {
	times             map[int64]int64 // by number
	altered, unsealed int64
	alteredIDs        []string
}

// found is what one line held.
type found struct {
	items     []item
	strangers int64
}

// As many ids as a person wants to look at.
const idsShown = 10

func (t *tally) add(f found, err error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.lines++
	if err != nil {
		t.broken++
		return
	}
	t.strangers += f.strangers
	for _, i := range f.items {
		a := t.producers[i.producer]
		if a == nil {
			a = &account{times: map[int64]int64{}}
			t.producers[i.producer] = a
		}
		a.times[i.number]++
		switch {
		case i.seal == "":
			a.unsealed++
		case !i.intact:
			a.altered++
			if len(a.alteredIDs) < idsShown {
				a.alteredIDs = append(a.alteredIDs, fmt.Sprintf("%s-%d", i.producer, i.number))
			}
		}
	}
}

func (t *tally) report(w wanted) counted {
	c := counted{
		Signal: w.signal, Lines: t.lines, BrokenLines: t.broken, Foreign: t.strangers,
		AlteredIDs: []string{}, MissingIDs: []string{}, Producers: map[string]int64{},
	}
	for producer, a := range t.producers {
		var items int64
		for _, times := range a.times {
			items += times
		}
		if len(w.producers) > 0 && !slices.Contains(w.producers, producer) {
			c.Foreign += items
			continue
		}
		c.Producers[producer] = int64(len(a.times))
		c.Distinct += int64(len(a.times))
		c.Items += items
		c.Altered += a.altered
		c.AlteredIDs = append(c.AlteredIDs, a.alteredIDs...)
		c.Unsealed += a.unsealed
	}
	c.Duplicates = c.Items - c.Distinct

	expected := w.producers
	if len(expected) == 0 {
		expected = slices.Sorted(maps.Keys(t.producers))
	}
	if len(expected) == 0 { // nothing arrived at all
		c.Missing = w.items
	}
	for _, producer := range expected {
		a := t.producers[producer]
		for number := w.first; number < w.first+w.items; number++ {
			if a == nil || a.times[number] == 0 {
				c.Missing++
				if len(c.MissingIDs) < idsShown {
					c.MissingIDs = append(c.MissingIDs, fmt.Sprintf("%s-%d", producer, number))
				}
			}
		}
	}
	return c
}

// readers take one line of OTLP JSON apart.
var readers = map[string]func([]byte) (found, error){
	"traces": func(line []byte) (f found, err error) {
		all, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
		if err != nil {
			return f, err
		}
		for _, resource := range all.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					f.add(identify(span.Attributes(), func() string { return sealSpan(resource, scope, span) }))
				}
			}
		}
		return f, nil
	},
	"logs": func(line []byte) (f found, err error) {
		all, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		if err != nil {
			return f, err
		}
		for _, resource := range all.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					f.add(identify(record.Attributes(), func() string { return sealRecord(resource, scope, record) }))
				}
			}
		}
		return f, nil
	},
	"metrics": func(line []byte) (f found, err error) {
		all, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(line)
		if err != nil {
			return f, err
		}
		for _, resource := range all.ResourceMetrics().All() {
			for _, scope := range resource.ScopeMetrics().All() {
				for _, metric := range scope.Metrics().All() {
					for index, attributes := range points(metric) {
						f.add(identify(attributes, func() string { return sealPoint(resource, scope, metric, index) }))
					}
				}
			}
		}
		return f, nil
	},
}

func (f *found) add(i item, ok bool) {
	if ok {
		f.items = append(f.items, i)
	} else {
		f.strangers++
	}
}
