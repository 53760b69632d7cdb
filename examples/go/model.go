package prepack

/*
#include "go_calls.h"
*/
import "C"

import (
	"context"
	"runtime"
	"unsafe"
)

// Arch is an architecture, by its class in transformers; String is its model_type.
type Arch int32

func (a Arch) String() string { return C.GoString(C.pp_arch_name(C.int32_t(a))) }

// LayerKind says what mixes the tokens of a layer.
type LayerKind int32

// The kinds of layers.
const (
	LayerAttention LayerKind = C.PP_LAYER_ATTENTION
	LayerLinear    LayerKind = C.PP_LAYER_LINEAR
)

// LinearRule says how tokens change the state of a linear layer.
type LinearRule int32

// The rules of linear layers.
const (
	LinearNone   LinearRule = C.PP_LINEAR_NONE
	LinearDelta  LinearRule = C.PP_LINEAR_DELTA
	LinearMamba2 LinearRule = C.PP_LINEAR_MAMBA2
)

// RopeType says how positions become angles.
type RopeType int32

// Types of rotary position embeddings.
const (
	RopeNone         RopeType = C.PP_ROPE_NONE
	RopeDefault      RopeType = C.PP_ROPE_DEFAULT
	RopeLinear       RopeType = C.PP_ROPE_LINEAR
	RopeLlama3       RopeType = C.PP_ROPE_LLAMA3
	RopeYarn         RopeType = C.PP_ROPE_YARN
	RopeLongRope     RopeType = C.PP_ROPE_LONGROPE
	RopeDynamic      RopeType = C.PP_ROPE_DYNAMIC
	RopeProportional RopeType = C.PP_ROPE_PROPORTIONAL
)

// Model is configuration and weights, immutable and shared by sessions. Safe for use by any number
// of goroutines.
type Model struct{ h handle }

// ModelOptions are settings of a model; the zero value has the defaults.
type ModelOptions struct {
	// SlidingWindow that a GGUF file keeps silent about (see prepack/model.h); 0: as the file says.
	SlidingWindow int
	// Log gets what the library passes over, until the model is closed; nil: silence.
	Log LogFunc
}

// OpenModel opens a Hugging Face model directory, a GGUF file, or what Convert wrote. Weights are
// read when the first session of the model is created. Nothing is downloaded.
func OpenModel(path string, options *ModelOptions) (*Model, error) {
	text, err := cString("the path", path)
	if err != nil {
		return nil, err
	}
	defer free(text)
	return newModel(options, func(params *C.pp_model_params, log C.uintptr_t, model **C.pp_model,
		details *C.pp_error) C.pp_status {
		return C.ppgo_model_open(text, params, log, model, details)
	})
}

// NewRandomModel is a model with pseudo-random weights of the shape that the text of a config.json
// describes, such as that of Preset.
func NewRandomModel(config string, seed uint64, options *ModelOptions) (*Model, error) {
	text, err := cString("the configuration", config)
	if err != nil {
		return nil, err
	}
	defer free(text)
	return newModel(options, func(params *C.pp_model_params, log C.uintptr_t, model **C.pp_model,
		details *C.pp_error) C.pp_status {
		return C.ppgo_model_create_random(text, C.uint64_t(seed), params, log, model, details)
	})
}

func newModel(options *ModelOptions, open func(*C.pp_model_params, C.uintptr_t, **C.pp_model,
	*C.pp_error) C.pp_status) (*Model, error) {
	var params C.pp_model_params
	C.pp_model_params_init(&params, C.sizeof_pp_model_params)
	var log uintptr
	if options != nil {
		params.sliding_window = narrow(options.SlidingWindow)
		log = keepLog(options.Log)
	}
	var object *C.pp_model
	details := newError()
	if err := check(open(&params, C.uintptr_t(log), &object, details), details); err != nil {
		dropCallback(log)
		return nil, err
	}
	m := &Model{h: newHandle("model", unsafe.Pointer(object), func(object unsafe.Pointer) {
		C.pp_model_unref((*C.pp_model)(object))
		dropCallback(log)
	})}
	runtime.SetFinalizer(m, (*Model).Close)
	return m, nil
}

// Close releases the model; sessions keep what they need of it. It returns nil.
func (m *Model) Close() error {
	if m.h.close() {
		runtime.SetFinalizer(m, nil)
	}
	return nil
}

func (m *Model) enter() (*C.pp_model, error) {
	object, err := m.h.enter()
	return (*C.pp_model)(object), err
}

// Preset is the text of the config.json of a known shape ("tiny", "llama2-7b", ...), "" for an
// unknown name.
func Preset(name string) string {
	text, err := cString("the name", name)
	if err != nil {
		return ""
	}
	defer free(text)
	return C.GoString(C.pp_model_preset(text))
}

// Presets are the names of the known shapes.
func Presets() (names []string) {
	for i := C.int64_t(0); ; i++ {
		name := C.pp_model_preset_name(i)
		if name == nil {
			return names
		}
		names = append(names, C.GoString(name))
	}
}

// ModelConfig is what holds for the whole model.
type ModelConfig struct {
	Arch             Arch
	VocabSize        int
	HiddenSize       int
	IntermediateSize int
	Layers           int
	Heads            int
	KVHeads          int
	HeadDim          int
	MaxPosition      int  // positions that the model has; longer prompts are refused
	TieEmbeddings    bool // the LM head is the embedding table
	DType            DType
	BOSToken         int32 // -1: none stated
	EOSTokens        []int32
	NormEps          float64
	HasLMHead        bool
	Labels           int     // rows of a classification or reward head; 0: there is none
	Pooling          Pooling // that the files recommend; -1: none
	Normalize        int     // whether they want the pooled vector normalised: 1, 0, -1: not stated
	Experts          int     // of a mixture of experts; 0: there is none
	ExpertsPerToken  int
	ExpertSize       int // intermediate size of an expert
	SharedExpertSize int // of the one that every token goes through; 0: there is none
	LinearLayers     int // layers with a state in the place of keys and values
	Linear           LinearShape
}

// LinearShape is the shape of all linear layers; zeros in a model without.
type LinearShape struct {
	Rule       LinearRule
	KeyHeads   int
	ValueHeads int
	KeyDim     int
	ValueDim   int
	Kernel     int // tokens that the convolution sees
}

// Config describes the model.
func (m *Model) Config() (ModelConfig, error) {
	object, err := m.enter()
	if err != nil {
		return ModelConfig{}, err
	}
	defer m.h.leave()
	return modelConfig(object)
}

func modelConfig(model *C.pp_model) (ModelConfig, error) {
	c := C.pp_model_config{struct_size: C.sizeof_pp_model_config}
	details := newError()
	if err := check(C.pp_model_get_config(model, &c, details), details); err != nil {
		return ModelConfig{}, err
	}
	config := ModelConfig{
		Arch:             Arch(c.arch),
		VocabSize:        int(c.vocab_size),
		HiddenSize:       int(c.hidden_size),
		IntermediateSize: int(c.intermediate_size),
		Layers:           int(c.n_layers),
		Heads:            int(c.n_heads),
		KVHeads:          int(c.n_kv_heads),
		HeadDim:          int(c.head_dim),
		MaxPosition:      int(c.max_position),
		TieEmbeddings:    c.tie_embeddings == 1,
		DType:            DType(c.dtype),
		BOSToken:         int32(c.bos_token),
		NormEps:          float64(c.norm_eps),
		HasLMHead:        c.has_lm_head == 1,
		Labels:           int(c.n_labels),
		Pooling:          Pooling(c.pooling),
		Normalize:        int(c.normalize),
		Experts:          int(c.n_experts),
		ExpertsPerToken:  int(c.n_experts_per_token),
		ExpertSize:       int(c.expert_size),
		SharedExpertSize: int(c.shared_expert_size),
		LinearLayers:     int(c.n_linear_layers),
		Linear: LinearShape{
			Rule:       LinearRule(c.linear_rule),
			KeyHeads:   int(c.linear_key_heads),
			ValueHeads: int(c.linear_value_heads),
			KeyDim:     int(c.linear_key_dim),
			ValueDim:   int(c.linear_value_dim),
			Kernel:     int(c.linear_kernel),
		},
	}
	for _, token := range c.eos_tokens[:c.n_eos_tokens] {
		config.EOSTokens = append(config.EOSTokens, int32(token))
	}
	return config, nil
}

// LayerConfig is what may differ from layer to layer.
type LayerConfig struct {
	SlidingWindow int // keys that a token sees, itself included; 0: all before it
	RopeType      RopeType
	RotaryDim     int
	RopeTheta     float64
	RopeFactor    float64
	KVHeads       int // this and the next: 0 in a linear layer
	HeadDim       int
	Kind          LayerKind
	KVLayer       int  // whose keys and values it sees; -1 in a linear layer
	MLPSize       int  // intermediate size of its dense MLP; 0: it has none
	HasExperts    bool // in the place of the MLP, or beside it
}

// Layer describes one layer.
func (m *Model) Layer(i int) (LayerConfig, error) {
	object, err := m.enter()
	if err != nil {
		return LayerConfig{}, err
	}
	defer m.h.leave()
	c := C.pp_layer_config{struct_size: C.sizeof_pp_layer_config}
	details := newError()
	if err := check(C.pp_model_get_layer(object, narrow(i), &c, details), details); err != nil {
		return LayerConfig{}, err
	}
	return LayerConfig{
		SlidingWindow: int(c.sliding_window),
		RopeType:      RopeType(c.rope_type),
		RotaryDim:     int(c.rotary_dim),
		RopeTheta:     float64(c.rope_theta),
		RopeFactor:    float64(c.rope_factor),
		KVHeads:       int(c.n_kv_heads),
		HeadDim:       int(c.head_dim),
		Kind:          LayerKind(c.kind),
		KVLayer:       int(c.kv_layer),
		MLPSize:       int(c.intermediate_size),
		HasExperts:    c.has_experts == 1,
	}, nil
}

// Parameters counts the model's parameters.
func (m *Model) Parameters() (int64, error) {
	object, err := m.enter()
	if err != nil {
		return 0, err
	}
	defer m.h.leave()
	return int64(C.pp_model_n_parameters(object)), nil
}

// IsRandom says whether the weights are pseudo-random.
func (m *Model) IsRandom() (bool, error) {
	object, err := m.enter()
	if err != nil {
		return false, err
	}
	defer m.h.leave()
	return C.pp_model_is_random(object) == 1, nil
}

// Identity is the number by which a saved cache knows its model.
func (m *Model) Identity() (uint64, error) {
	object, err := m.enter()
	if err != nil {
		return 0, err
	}
	defer m.h.leave()
	var identity C.uint64_t
	details := newError()
	err = check(C.pp_model_identity(object, &identity, details), details)
	return uint64(identity), err
}

// ConvertOptions are settings of Convert.
type ConvertOptions struct {
	Weights  Weights // WeightsF32 to WeightsNF4
	Threads  int     // 0: one for each processor
	Progress func(done, total int64)
}

// Convert writes the model as a directory with matrices of another format. The directory is there
// when all is written; a context that ends leaves nothing behind.
func (m *Model) Convert(ctx context.Context, directory string, options ConvertOptions) error {
	text, err := cString("the directory", directory)
	if err != nil {
		return err
	}
	defer free(text)
	if err := alreadyOver(ctx); err != nil {
		return err
	}
	object, err := m.enter()
	if err != nil {
		return err
	}
	defer m.h.leave()
	callback := &convertCallback{ctx: ctx, progress: options.Progress}
	id := keepCallback(callback)
	defer dropCallback(id)
	var params C.pp_convert_params
	C.pp_convert_params_init(&params, C.sizeof_pp_convert_params)
	params.weights = C.int32_t(options.Weights)
	params.n_threads = narrow(options.Threads)
	details := newError()
	err = check(C.ppgo_model_convert(object, text, &params, C.uintptr_t(id), details), details)
	if callback.broken {
		panic(callback.panicked)
	}
	return because(ctx, err, nil)
}
