package prepack

/*
#include "go_calls.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Weights is how a session keeps its weight matrices.
type Weights int32

// Formats of weights. WeightsAuto, the zero value: as they are stored.
const (
	WeightsAuto Weights = C.PP_WEIGHTS_AUTO
	WeightsF32  Weights = C.PP_WEIGHTS_F32
	WeightsBF16 Weights = C.PP_WEIGHTS_BF16
	WeightsInt8 Weights = C.PP_WEIGHTS_INT8
	WeightsInt4 Weights = C.PP_WEIGHTS_INT4
	WeightsNF4  Weights = C.PP_WEIGHTS_NF4
)

func (w Weights) String() string { return C.GoString(C.pp_weights_name(C.int32_t(w))) }

// Session is a model on a device: its threads or stream, a workspace and a pool of KV pages. One
// call at a time: see the package's comment. Cancel is for any goroutine at any time.
type Session struct {
	h      handle
	turn   turn // of the session and its caches
	config ModelConfig
}

// SessionOptions are settings of a session; the zero value has the defaults.
type SessionOptions struct {
	DType           DType  // of products and KV
	Device          string // "cpu", the default, "cuda", "cuda:1", "cpu:avx2": see prepack/session.h
	Threads         int    // CPU threads; 0: one for each processor that the process may use
	MaxPassTokens   int    // most tokens of one forward pass; 0: the library's choice
	MemoryLimit     int64  // bytes of the device's memory; 0: nine tenths of what is free
	KeepWindowPages bool   // sliding windows keep the pages behind them
	Weights         Weights
	Log             LogFunc // until the session is closed; nil: silence
}

// paramsOf are C's settings; release has to follow their last use.
func paramsOf(options *SessionOptions) (params C.pp_session_params, release func(), err error) {
	C.pp_session_params_init(&params, C.sizeof_pp_session_params)
	if options == nil {
		return params, func() {}, nil
	}
	params.dtype = C.int32_t(options.DType)
	params.n_threads = narrow(options.Threads)
	params.max_pass_tokens = narrow(options.MaxPassTokens)
	params.memory_limit = C.int64_t(options.MemoryLimit)
	params.keep_window_pages = truth(options.KeepWindowPages)
	params.weights = C.int32_t(options.Weights)
	if options.Device == "" {
		return params, func() {}, nil
	}
	device, err := cString("the device", options.Device)
	if err != nil {
		return params, nil, err
	}
	params.device = device
	return params, func() { free(device) }, nil
}

// NewSession creates a session. The first session of a model on a device reads and packs the
// weights, which later ones share.
func NewSession(model *Model, options *SessionOptions) (*Session, error) {
	object, err := model.enter()
	if err != nil {
		return nil, err
	}
	defer model.h.leave()
	config, err := modelConfig(object)
	if err != nil {
		return nil, err
	}
	params, release, err := paramsOf(options)
	if err != nil {
		return nil, err
	}
	defer release()
	var log uintptr
	if options != nil {
		log = keepLog(options.Log)
	}
	var session *C.pp_session
	details := newError()
	err = check(C.ppgo_session_create(object, &params, C.uintptr_t(log), &session, details), details)
	if err != nil {
		dropCallback(log)
		return nil, err
	}
	s := &Session{config: config}
	s.h = newHandle("session", unsafe.Pointer(session), func(object unsafe.Pointer) {
		C.pp_session_destroy((*C.pp_session)(object))
		dropCallback(log)
	})
	runtime.SetFinalizer(s, (*Session).Close)
	return s, nil
}

// Close ends the session; its caches stay valid. It returns nil.
func (s *Session) Close() error {
	if s.h.close() {
		runtime.SetFinalizer(s, nil)
	}
	return nil
}

// enter takes the session's turn; leave has to follow.
func (s *Session) enter() (*C.pp_session, error) {
	object, err := s.h.enterAlone(&s.turn)
	return (*C.pp_session)(object), err
}

func (s *Session) leave() { s.h.leaveAlone(&s.turn) }

// Config describes the session's model.
func (s *Session) Config() ModelConfig {
	config := s.config
	config.EOSTokens = append([]int32(nil), config.EOSTokens...)
	return config
}

// Cancel makes the call that is running on the session end with ErrCancelled before its next layer;
// it does nothing when none is. The contexts that calls take are for the same.
func (s *Session) Cancel() {
	if object, err := s.h.enter(); err == nil {
		C.pp_session_cancel((*C.pp_session)(object))
		s.h.leave()
	}
}

// Synchronize waits until all that the session has enqueued on a GPU is done.
func (s *Session) Synchronize() error {
	object, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave()
	details := newError()
	return check(C.pp_session_synchronize(object, details), details)
}

// Trim gives KV pages that no cache uses back to the device and returns their bytes.
func (s *Session) Trim() (int64, error) {
	object, err := s.enter()
	if err != nil {
		return 0, err
	}
	defer s.leave()
	return int64(C.pp_session_trim(object)), nil
}

// SessionInfo is what a session is and holds.
type SessionInfo struct {
	DType           DType
	Threads         int
	MaxPassTokens   int
	PageTokens      int // token slots of a KV page
	ChunkTokens     int // a prompt longer than a pass is cut at multiples of this
	KeepWindowPages bool
	PageBytes       int64
	ClassPageBytes  []int64 // of a page of each class of layers
	ClassWindows    []int   // keys that a token sees in the layers of each class; 0: all
	Device          string  // "cpu:avx512bf16"
	DeviceName      string  // "NVIDIA H200"; "" on the CPU
	PCIAddress      string  // of the GPU
	Attention       string  // the attention kernel
	Weights         Weights
	WeightBytes     int64 // shared by sessions of the same model, device and dtype
	WorkspaceBytes  int64
	KVBytes         int64 // pages and states in use by caches
	KVPoolBytes     int64 // those held, in use or free
	StateBytes      int64 // of the states of all linear layers of a prompt; 0: there are none
	MemoryBytes     int64 // of the device, held by this session now, weights included
	PeakMemoryBytes int64
	HostBytes       int64
	TokensComputed  int64
	Passes          int64
	info            C.pp_session_info
}

func sessionInfo(c C.pp_session_info) SessionInfo {
	info := SessionInfo{
		DType:           DType(c.dtype),
		Threads:         int(c.n_threads),
		MaxPassTokens:   int(c.max_pass_tokens),
		PageTokens:      int(c.page_tokens),
		ChunkTokens:     int(c.chunk_tokens),
		KeepWindowPages: c.keep_window_pages == 1,
		PageBytes:       int64(c.page_bytes),
		Device:          fixedText(c.device[:]),
		DeviceName:      fixedText(c.device_name[:]),
		PCIAddress:      fixedText(c.pci_address[:]),
		Attention:       fixedText(c.attention[:]),
		Weights:         Weights(c.weights),
		WeightBytes:     int64(c.weight_bytes),
		WorkspaceBytes:  int64(c.workspace_bytes),
		KVBytes:         int64(c.kv_bytes),
		KVPoolBytes:     int64(c.kv_pool_bytes),
		StateBytes:      int64(c.state_bytes),
		MemoryBytes:     int64(c.memory_bytes),
		PeakMemoryBytes: int64(c.peak_memory_bytes),
		HostBytes:       int64(c.host_bytes),
		TokensComputed:  int64(c.tokens_computed),
		Passes:          int64(c.passes),
		info:            c,
	}
	for i := 0; i < int(c.n_page_classes); i++ {
		info.ClassPageBytes = append(info.ClassPageBytes, int64(c.class_page_bytes[i]))
		info.ClassWindows = append(info.ClassWindows, int(c.class_windows[i]))
	}
	return info
}

// Info tells what the session is and holds now.
func (s *Session) Info() (SessionInfo, error) {
	object, err := s.enter()
	if err != nil {
		return SessionInfo{}, err
	}
	defer s.leave()
	info := C.pp_session_info{struct_size: C.sizeof_pp_session_info}
	details := newError()
	if err := check(C.pp_session_get_info(object, &info, details), details); err != nil {
		return SessionInfo{}, err
	}
	return sessionInfo(info), nil
}

// EstimateSession tells what a session with these options would hold right after its creation,
// without reading a weight.
func EstimateSession(model *Model, options *SessionOptions) (SessionInfo, error) {
	object, err := model.enter()
	if err != nil {
		return SessionInfo{}, err
	}
	defer model.h.leave()
	params, release, err := paramsOf(options)
	if err != nil {
		return SessionInfo{}, err
	}
	defer release()
	info := C.pp_session_info{struct_size: C.sizeof_pp_session_info}
	details := newError()
	if err := check(C.pp_session_estimate(object, &params, &info, details), details); err != nil {
		return SessionInfo{}, err
	}
	return sessionInfo(info), nil
}

// Prediction is what one run of new prompts takes.
type Prediction struct {
	Seconds    float64 // or the cost model's unit
	Passes     int64   // forward passes
	KVBytes    int64   // of the prompts' caches afterwards
	StateBytes int64   // of states of linear layers that the run takes at most
}

// PredictRun predicts a run of new prompts on a session; nothing is loaded or run. cost nil: a pass
// costs its tokens. plan nil: prompts of these lengths in this order.
func (info SessionInfo) PredictRun(cost *CostModel, plan *Plan, lengths []int64) (Prediction, error) {
	var bins *C.pp_plan
	if plan != nil {
		object, err := plan.enter()
		if err != nil {
			return Prediction{}, err
		}
		defer plan.h.leave()
		bins = object
	}
	costs, err := cost.toC()
	if err != nil {
		return Prediction{}, err
	}
	p := C.pp_prediction{struct_size: C.sizeof_pp_prediction}
	details := newError()
	err = check(C.pp_run_predict(&info.info, costs, bins, ints64(lengths), C.int64_t(len(lengths)),
		&p, details), details)
	if err != nil {
		return Prediction{}, err
	}
	return Prediction{Seconds: float64(p.seconds), Passes: int64(p.passes),
		KVBytes: int64(p.kv_bytes), StateBytes: int64(p.state_bytes)}, nil
}
