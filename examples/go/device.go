package prepack

/*
#include "go_calls.h"
*/
import "C"

// DeviceInfo is a device that sessions can be created on.
type DeviceInfo struct {
	Device         string // what SessionOptions.Device takes: "cpu", "cuda:0"
	Name           string // of the maker; "" where nobody says
	Kernels        string // the kernels that would run
	PCIAddress     string // of a GPU
	Units          int    // processors that this process may use; multiprocessors of a GPU
	MemoryBytes    int64  // 0: not known
	AvailableBytes int64  // 0: not known
}

// Devices are those that this machine has, the CPU first.
func Devices() ([]DeviceInfo, error) {
	all := make([]DeviceInfo, C.pp_device_count())
	for i := range all {
		c := C.pp_device_info{struct_size: C.sizeof_pp_device_info}
		details := newError()
		if err := check(C.pp_device_get(C.int64_t(i), &c, details), details); err != nil {
			return nil, err
		}
		all[i] = DeviceInfo{
			Device:         fixedText(c.device[:]),
			Name:           fixedText(c.device_name[:]),
			Kernels:        fixedText(c.kernels[:]),
			PCIAddress:     fixedText(c.pci_address[:]),
			Units:          int(c.n_units),
			MemoryBytes:    int64(c.memory_bytes),
			AvailableBytes: int64(c.available_bytes),
		}
	}
	return all, nil
}
