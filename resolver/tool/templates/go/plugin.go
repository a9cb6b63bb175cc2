// The backend plugin `@NAME@`: it counts what it is given, and says so in the application's log. Put what ships a batch
// into ship. What each function may do, and on which thread it runs, stands in tracer_plugin.h; what lies between C and
// Go, in boundary.c.
package main

/*
#cgo CFLAGS: -fvisibility=hidden
#include "boundary.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime/cgo"
	"sync/atomic"
	"time"
	"unsafe"
)

// Backend is one backend of a configuration.
type Backend struct {
	log            func(level uint32, text string)
	items, batches atomic.Uint64
}

// Failed is an error with what the host is to do: CodeRetryable is tried again, CodePermanent is not; CodeCredentials is
// for a 401 or 403.
type Failed struct {
	Code    C.tracer_code
	Message string
}

func (failed *Failed) Error() string { return failed.Message }

const (
	CodeConfig      C.tracer_code = 1
	CodeRetryable   C.tracer_code = 2
	CodePermanent   C.tracer_code = 3
	CodeTimeout     C.tracer_code = 5
	CodeCredentials C.tracer_code = 10
)

// validate says what a schema cannot: the host has checked the schema.
func validate(config string) error { return nil }

// create makes a backend. It must not wait for the network.
func create(config string, log func(uint32, string)) (*Backend, error) {
	return &Backend{log: log}, nil
}

// ship ships one batch within timeout. body is its own copy.
func (backend *Backend) ship(body []byte, items uint32, timeout time.Duration) error {
	backend.log(C.TRACER_LOG_DEBUG, fmt.Sprintf("%d items in %d bytes", items, len(body)))
	return nil
}

// close ends what the backend began: goroutines, connections.
func (backend *Backend) close() {}

// guarded is the boundary: no panic leaves it.
func guarded(told *C.tracer_error, call func() error) (code C.tracer_code) {
	defer func() {
		if panicked := recover(); panicked != nil {
			code = tell(told, C.tracer_code(C.TRACER_ERR_PANIC), fmt.Sprint(panicked))
		}
	}()
	err := call()
	if err == nil {
		return C.tracer_code(C.TRACER_OK)
	}
	var failed *Failed
	if errors.As(err, &failed) {
		return tell(told, failed.Code, failed.Message)
	}
	return tell(told, C.tracer_code(C.TRACER_ERR_INTERNAL), err.Error())
}

func tell(told *C.tracer_error, code C.tracer_code, message string) C.tracer_code {
	text := C.CString(message)
	defer C.free(unsafe.Pointer(text))
	return C.tell(told, code, text)
}

func text(of C.tracer_str) string { return C.GoStringN(of.ptr, C.int(of.len)) }

func backendOf(handle C.uintptr_t) *Backend { return cgo.Handle(handle).Value().(*Backend) }

//export goReady
func goReady() {}

//export goValidate
func goValidate(config C.tracer_str, told *C.tracer_error) C.tracer_code {
	return guarded(told, func() error { return validate(text(config)) })
}

//export goCreate
func goCreate(config C.tracer_str, host *C.tracer_host, handle *C.uintptr_t, told *C.tracer_error) C.tracer_code {
	return guarded(told, func() error {
		log := func(level uint32, line string) {
			line_ := C.CString(line)
			defer C.free(unsafe.Pointer(line_))
			C.say(host, C.uint32_t(level), line_)
		}
		backend, err := create(text(config), log)
		if err == nil {
			*handle = C.uintptr_t(cgo.NewHandle(backend))
		}
		return err
	})
}

//export goExport
func goExport(handle C.uintptr_t, body unsafe.Pointer, length C.size_t, items, timeoutMs C.uint32_t, told *C.tracer_error) C.tracer_code {
	return guarded(told, func() error {
		backend := backendOf(handle)
		err := backend.ship(C.GoBytes(body, C.int(length)), uint32(items), time.Duration(timeoutMs)*time.Millisecond)
		if err == nil {
			backend.items.Add(uint64(items))
			backend.batches.Add(1)
		}
		return err
	})
}

//export goStats
func goStats(handle C.uintptr_t, items, batches *C.uint64_t) {
	backend := backendOf(handle)
	*items = C.uint64_t(backend.items.Load())
	*batches = C.uint64_t(backend.batches.Load())
}

//export goDestroy
func goDestroy(handle C.uintptr_t) {
	guarded(nil, func() error {
		backendOf(handle).close()
		cgo.Handle(handle).Delete()
		return nil
	})
}

func main() {}
