package prepack

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModel(t *testing.T) {
	model := demoModel(t)
	config := must[ModelConfig](t)(model.Config())
	if config.Arch.String() != "llama" || config.VocabSize != 1024 || config.Layers != 6 ||
		config.DType != DTypeBF16 || len(config.EOSTokens) != 1 || config.EOSTokens[0] != 2 ||
		!config.HasLMHead || config.BOSToken != 1 {
		t.Errorf("the demo is %+v", config)
	}
	layer := must[LayerConfig](t)(model.Layer(5))
	if layer.RopeType != RopeDefault || layer.KVHeads != 2 || layer.RopeTheta != 10000 ||
		layer.Kind != LayerAttention || layer.KVLayer != 5 || layer.HasExperts {
		t.Errorf("its last layer is %+v", layer)
	}
	if _, err := model.Layer(6); !errors.Is(err, ErrArg) {
		t.Errorf("layer 6 of 6: %v", err)
	}
	if n := must[int64](t)(model.Parameters()); n < 2_000_000 || must[bool](t)(model.IsRandom()) {
		t.Errorf("it has %d parameters", n)
	}
	if _, err := OpenModel("a\x00b", nil); !errors.Is(err, ErrArg) {
		t.Errorf("a path with a NUL: %v", err)
	}
	if v := Version(); strings.Count(v, ".") != 2 {
		t.Errorf("the version is %q", v)
	}
}

func TestPresetsAndRandomModels(t *testing.T) {
	names := Presets()
	if len(names) < 3 || Preset(names[0]) == "" || Preset("nothing of the kind") != "" {
		t.Errorf("the presets are %v", names)
	}
	model := must[*Model](t)(NewRandomModel(Preset("tiny"), 7, nil))
	defer model.Close()
	if !must[bool](t)(model.IsRandom()) {
		t.Error("it is not random")
	}
	estimate := must[SessionInfo](t)(EstimateSession(model, &SessionOptions{Device: "cpu:ref"}))
	if estimate.Device != "cpu:ref" || estimate.WeightBytes == 0 || estimate.PageTokens == 0 {
		t.Errorf("the estimate is %+v", estimate)
	}
	if _, err := NewSession(model, &SessionOptions{Device: "abacus"}); err == nil {
		t.Error("there is an abacus")
	}
}

func TestConvert(t *testing.T) {
	model := demoModel(t)
	directory := filepath.Join(t.TempDir(), "int8")
	calls := 0
	ok(t, model.Convert(background, directory, ConvertOptions{Weights: WeightsInt8,
		Progress: func(done, total int64) { calls++ }}))
	converted := must[*Model](t)(OpenModel(directory, nil))
	defer converted.Close()
	if calls == 0 {
		t.Error("there was no progress")
	}
	ctx, cancel := context.WithCancel(background)
	other := filepath.Join(t.TempDir(), "other")
	err := model.Convert(ctx, other, ConvertOptions{Weights: WeightsInt8,
		Progress: func(done, total int64) { cancel() }})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) {
		t.Errorf("a conversion that was cancelled: %v", err)
	}
	if _, err := os.Stat(other); err == nil {
		t.Error("it left something behind")
	}
}

func TestLogAndDevices(t *testing.T) {
	var lines []string
	model := must[*Model](t)(OpenModel(demo, nil))
	defer model.Close()
	session := must[*Session](t)(NewSession(model, &SessionOptions{
		Log: func(level LogLevel, line string) { lines = append(lines, line) }}))
	defer session.Close()
	ok(t, session.Run(background, []Item{{Tokens: []int32{1, 2}}}, nil))
	t.Logf("the log has %d lines: %q", len(lines), lines)
	devices := must[[]DeviceInfo](t)(Devices())
	if len(devices) < 1 || devices[0].Device != "cpu" || devices[0].Units < 1 {
		t.Errorf("the devices are %+v", devices)
	}
	info := must[SessionInfo](t)(session.Info())
	if !strings.HasPrefix(info.Device, "cpu:") || info.TokensComputed != 2 || info.Passes != 1 ||
		len(info.ClassWindows) != 1 || info.Weights != WeightsBF16 {
		t.Errorf("the session is %+v", info)
	}
	must[int64](t)(session.Trim())
	ok(t, session.Synchronize())
}
