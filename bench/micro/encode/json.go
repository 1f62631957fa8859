package encode

import (
	"encoding/json"
	"io"

	"stepbench/bench/micro"
	"stepbench/engine"
)

// lines writes a JSON object per cell.
func lines(w io.Writer, res *micro.Results) error {
	e := encoder(w)
	for _, r := range rows(res) {
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func encoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // kernel names have template brackets
	return e
}

// results is the JSON document.
type results struct {
	SchemaVersion int           `json:"schema_version"`
	Method        string        `json:"method"`
	MethodVersion int           `json:"method_version"`
	Profile       string        `json:"profile"`
	Seed          uint64        `json:"seed"`
	Interrupted   bool          `json:"interrupted"`
	Model         engine.Model  `json:"model"`
	Engine        engineKeys    `json:"engine"`
	Ceilings      *ceilings     `json:"ceilings"`
	Cells         []fullCell    `json:"cells"`
	Refused       []refusedCell `json:"refused"`
}

// engineKeys are what tells one engine's times from another's. All that is
// known of it stands in the run's manifest.
type engineKeys struct {
	VLLMVersion      string `json:"vllm_version"`
	TorchVersion     string `json:"torch_version"`
	Device           string `json:"device"`
	DeviceUUID       string `json:"device_uuid"`
	HostMode         string `json:"host_mode"`
	DType            string `json:"dtype"`
	AttentionBackend string `json:"attention_backend"`
	GraphMode        string `json:"graph_mode"`
	MaxGraphTokens   int    `json:"max_graph_tokens"`
	MaxModelLen      int    `json:"max_model_len"`
	MaxNumSeqs       int    `json:"max_num_seqs"`
	MaxBatchedTokens int    `json:"max_num_batched_tokens"`
	KVBlocks         int    `json:"kv_blocks"`
	KVBlockSize      int    `json:"kv_block_size"`
	PrefixCaching    bool   `json:"prefix_caching"`

	GPUMemoryUtilization float64       `json:"gpu_memory_utilization,omitempty"`
	Memory               engine.Memory `json:"memory,omitzero"` // of a single rank
}

func newEngineKeys(i engine.Info) engineKeys {
	return engineKeys{
		VLLMVersion: i.VLLMVersion, TorchVersion: i.TorchVersion, Device: i.Device, DeviceUUID: i.DeviceUUID,
		HostMode: string(i.HostMode), DType: i.DType, AttentionBackend: i.AttentionBackend, GraphMode: i.GraphMode,
		MaxModelLen: i.MaxModelLen, MaxNumSeqs: i.MaxNumSeqs, MaxBatchedTokens: i.MaxNumBatchedTokens,
		MaxGraphTokens: i.MaxGraphTokens, KVBlocks: i.KVBlocks, KVBlockSize: i.KVBlockSize, PrefixCaching: i.PrefixCaching,
		GPUMemoryUtilization: i.GPUMemoryUtilization, Memory: i.Memory,
	}
}

type ceilings struct {
	CopyBytesPerS  float64 `json:"copy_bytes_per_s"`
	MatmulFLOPPerS float64 `json:"matmul_flop_per_s"`
}

// fullCell has the keys of row, and those of which a row has no more than one
// number.
type fullCell struct {
	Name string `json:"name"`
	row
	Valid       bool           `json:"valid"`
	ContextMin  int            `json:"context_min"`
	ContextMax  int            `json:"context_max"`
	Settled     int            `json:"settled"`
	DiscardedBy map[string]int `json:"discarded_by"`
	CIMethod    string         `json:"ci_method"`
	WallP99Us   *float64       `json:"wall_p99_us"`
	WallMADUs   *float64       `json:"wall_mad_us"`
	Outliers    int            `json:"outliers"`
	Rounds      []fullRound    `json:"rounds"`
	Device      *device        `json:"device"`
	Roofline    *roofline      `json:"roofline"`
}

type fullRound struct {
	Index    int     `json:"index"`
	Steps    int     `json:"steps"`
	MedianUs float64 `json:"median_us"`
	BridgeUs float64 `json:"bridge_us"`
}

type device struct {
	Unit          string  `json:"unit"` // kernel or op
	Bursts        int     `json:"bursts"`
	Steps         int     `json:"steps"`
	DroppedBursts int     `json:"dropped_bursts"`
	BusyUs        float64 `json:"busy_us"`
	SumUs         float64 `json:"sum_us"`
	IdleUs        float64 `json:"idle_us"`
	GapUs         float64 `json:"gap_profiled_us"`
	IdleFrac      float64 `json:"idle_frac"`
	ProfilerRatio float64 `json:"profiler_ratio"`
	// CollectiveFrac and Ranks are of a model that is spread over processes.
	CollectiveFrac float64          `json:"collective_frac,omitempty"`
	Ranks          []micro.RankTime `json:"ranks,omitempty"`
	Rows           []top            `json:"rows"`
}

type roofline struct {
	Bytes      float64  `json:"bytes"`
	FLOP       float64  `json:"flop"`
	BytesPerS  float64  `json:"bytes_per_s"`
	FLOPPerS   float64  `json:"flop_per_s"`
	CopyFrac   *float64 `json:"copy_frac"`
	MatmulFrac *float64 `json:"matmul_frac"`
}

type refusedCell struct {
	Name    string `json:"name"`
	Phase   string `json:"phase"`
	Batch   int    `json:"batch"`
	Context int    `json:"context"`
	Chunk   int    `json:"chunk"`
	Reason  string `json:"reason"`
}

// document writes one JSON object.
func document(w io.Writer, res *micro.Results) error {
	out := results{
		SchemaVersion: micro.SchemaVersion, Method: micro.Method, MethodVersion: micro.MethodVersion,
		Profile: res.Rules.Name, Seed: res.Seed, Interrupted: res.Interrupted, Model: res.Model, Engine: newEngineKeys(res.Info),
		Cells: []fullCell{}, Refused: []refusedCell{},
	}
	if res.Ceilings != (micro.Ceilings{}) {
		out.Ceilings = &ceilings{res.Ceilings.CopyBytesPerS, res.Ceilings.MatmulFLOPPerS}
	}
	for i := range res.Cells {
		out.Cells = append(out.Cells, newFullCell(res, &res.Cells[i]))
	}
	for _, r := range res.Refused {
		a := r.Cell.Axes()
		out.Refused = append(out.Refused, refusedCell{r.Cell.Name(), string(a.Phase), a.Batch, a.Context, a.Chunk, r.Reason})
	}
	e := encoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

func newFullCell(res *micro.Results, c *micro.CellResult) fullCell {
	f := fullCell{
		Name: c.Cell.Name(), row: newRow(res, c), Valid: c.Valid,
		ContextMin: c.ContextMin, ContextMax: c.ContextMax,
		Settled: c.Settled, DiscardedBy: c.Discarded, CIMethod: c.Wall.CIMethod,
		Outliers: c.Wall.Outliers, Rounds: []fullRound{},
	}
	if c.Steps > 0 {
		f.WallMADUs = usp(c.Wall.MADNs)
	}
	if c.Wall.P99Ns != nil {
		f.WallP99Us = usp(*c.Wall.P99Ns)
	}
	for _, r := range c.Rounds {
		f.Rounds = append(f.Rounds, fullRound{r.Index, r.Steps, us(r.MedianNs), us(r.BridgeNs)})
	}
	if d := c.Device; d != nil {
		f.Device = &device{
			Unit: d.Unit, Bursts: d.Bursts, Steps: d.Steps, DroppedBursts: d.Dropped,
			BusyUs: us(d.BusyNs), SumUs: us(d.SumNs), IdleUs: us(d.IdleNs), GapUs: us(d.GapNs),
			IdleFrac: round(d.BubbleFrac, 5), ProfilerRatio: round(d.ProfilerRatio, 5), CollectiveFrac: round(d.CollectiveFrac, 5), Ranks: d.Ranks, Rows: tops(d.Rows),
		}
	}
	if r := c.Roofline; r != nil {
		f.Roofline = &roofline{Bytes: round(r.Bytes, 0), FLOP: round(r.FLOP, 0), BytesPerS: round(r.BytesPerS, 0), FLOPPerS: round(r.FLOPPerS, 0), CopyFrac: frac(r.CopyFrac), MatmulFrac: frac(r.MatmulFrac)}
	}
	return f
}

func frac(x *float64) *float64 {
	if x == nil {
		return nil
	}
	v := round(*x, 5)
	return &v
}
