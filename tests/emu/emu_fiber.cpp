/*
 * emu_fiber.cpp: see emu_fiber.h.
 */
#include "emu_fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define EMU_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMU_ASAN 1
#endif
#endif

#ifdef EMU_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if !defined(__x86_64__) && !defined(EMU_UCONTEXT)
#define EMU_UCONTEXT 1
#endif
#ifdef EMU_UCONTEXT
#include <ucontext.h>
#endif

namespace hw {
namespace emu {

#ifdef EMU_ASAN
static constexpr size_t STACK_BYTES = (size_t)256 << 10; /* frames have red zones */
#else
static constexpr size_t STACK_BYTES = (size_t)64 << 10;
#endif

static constexpr size_t STAGGER = 9 * 64;

/* The two ends of the switch under way. */
static fiber *switch_from, *switch_to;

static void announce()
{
#ifdef EMU_ASAN
    __sanitizer_start_switch_fiber(&switch_from->fake_stack, switch_to->bottom, switch_to->bytes);
#endif
}

static void arrive()
{
#ifdef EMU_ASAN
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(switch_to->fake_stack, &bottom, &bytes);
    if (!switch_from->owns_stack) {
        switch_from->bottom = (char *)(uintptr_t)bottom;
        switch_from->bytes = bytes;
    }
#endif
}

static void enter()
{
    fiber *self = switch_to;
    arrive();
    self->run(self->arg);
}

#ifdef EMU_UCONTEXT

static void change(fiber *from, fiber *to)
{
    if (!from->context)
        from->context = calloc(1, sizeof(ucontext_t));
    swapcontext((ucontext_t *)from->context, (ucontext_t *)to->context);
}

static void prepare(fiber *f)
{
    if (!f->context)
        f->context = calloc(1, sizeof(ucontext_t));
    ucontext_t *context = (ucontext_t *)f->context;
    getcontext(context);
    context->uc_stack.ss_sp = f->bottom;
    context->uc_stack.ss_size = f->bytes;
    context->uc_link = NULL;
    makecontext(context, enter, 0);
}

#else

/* Saves what a called function must keep, exchanges stack pointers, restores. */
extern "C" void emu_exchange_stacks(void **save, void *load);
asm(".text\n"
    ".type emu_exchange_stacks, @function\n"
    ".hidden emu_exchange_stacks\n"
    ".globl emu_exchange_stacks\n"
    "emu_exchange_stacks:\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n"
    ".size emu_exchange_stacks, .-emu_exchange_stacks\n");

static void change(fiber *from, fiber *to)
{
    emu_exchange_stacks(&from->context, to->context);
}

static void prepare(fiber *f)
{
    /* From the top: a null return address of enter(), enter() as the switch's return address, six
     * registers. The stack pointer is 16 n + 8 when enter() starts, as after a call. */
    void **top = (void **)(f->bottom + f->bytes) - 3;
    top[0] = NULL;
    top[-1] = (void *)enter;
    memset(top - 7, 0, 6 * sizeof *top);
    f->context = top - 7;
}

#endif

bool fiber_make(fiber *f, void (*run)(void *), void *arg)
{
    if (!f->owns_stack) {
        size_t guard = (size_t)sysconf(_SC_PAGESIZE);
        void *memory = mmap(NULL, guard + STACK_BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            return false;
        mprotect(memory, guard, PROT_NONE);
        /* Stacks begin at different offsets in their pages: the ends that all fibers use would
         * otherwise share a few sets of the cache. */
        static unsigned n_made;
        f->bottom = (char *)memory + guard;
        f->bytes = STACK_BYTES - n_made++ * STAGGER % guard;
        f->owns_stack = true;
    }
#ifdef EMU_ASAN
    __asan_unpoison_memory_region(f->bottom, f->bytes);
#endif
    f->fake_stack = NULL;
    f->run = run;
    f->arg = arg;
    prepare(f);
    return true;
}

void fiber_switch(fiber *from, fiber *to)
{
    switch_from = from;
    switch_to = to;
    announce();
    change(from, to);
    arrive();
}

} // namespace emu
} // namespace hw
