package record

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

// spread is an engine whose ranks have used more each time they are asked.
type spread struct {
	ranks, asked int
}

func (s *spread) Info() engine.Info { return engine.Info{Ranks: make([]engine.Rank, s.ranks)} }

func (s *spread) Call(_ context.Context, method string, _, reply any) error {
	if method != "ranks" {
		return errors.New("no method " + method)
	}
	s.asked++
	var use []engine.RankUse
	for i := range s.ranks {
		n := int64(s.asked * (i + 1))
		use = append(use, engine.RankUse{Rank: i, CPUNs: 1000 * n, RSSBytes: 100 + n, VariantCalls: map[string]int64{"op": 10 * n}})
	}
	text, err := json.Marshal(use)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, reply)
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	run, two, failed := &Run{}, &spread{ranks: 2}, errors.New("failed")
	if err := run.Measure(t.Context(), two, func() error { return failed }); !errors.Is(err, failed) || two.asked != 1 || run.Manifest.Ranks != nil {
		t.Errorf("a failure: %v, asked %d times, ranks %+v", err, two.asked, run.Manifest.Ranks)
	}
	if err := run.Measure(t.Context(), two, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	want := []engine.RankUse{
		{Rank: 0, CPUNs: 1000, RSSBytes: 103, VariantCalls: map[string]int64{"op": 10}},
		{Rank: 1, CPUNs: 2000, RSSBytes: 106, VariantCalls: map[string]int64{"op": 20}},
	}
	if diff := cmp.Diff(want, run.Manifest.Ranks); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	one := &spread{}
	if err := (&Run{}).Measure(t.Context(), one, func() error { return nil }); err != nil || one.asked != 0 {
		t.Errorf("one process: %v, asked %d times", err, one.asked)
	}
}
