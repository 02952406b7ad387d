using System.Diagnostics.CodeAnalysis;

namespace VsockPair.Decoding.Printing;

/// <summary>Events that trace-cmd's plugins print in their own way.</summary>
internal static class KnownEvents
{
    public static EventPrinter? TryFind(EventFormat format) => (format.System, format.Name) switch
    {
        ("sched", "sched_switch") => SchedSwitchPrinter.TryCreate(format),
        ("sched", "sched_wakeup" or "sched_wakeup_new") => SchedWakeupPrinter.TryCreate(format),
        ("ftrace", "function") => FunctionPrinter.TryCreate(format),
        ("ftrace", "func_repeats") => FunctionRepeatsPrinter.TryCreate(format),
        ("ftrace", "kernel_stack") => StackPrinter.TryCreate(format),
        ("ftrace", "raw_data") => RawDataPrinter.TryCreate(format),
        ("ftrace", "bprint") => BinaryPrintPrinter.TryCreate(format),
        ("ftrace", "funcgraph_entry") => GraphEntryPrinter.TryCreate(format),
        ("ftrace", "funcgraph_exit") => GraphExitPrinter.TryCreate(format),
        ("kmem", "kfree" or "kmalloc" or "kmalloc_node" or "kmem_cache_alloc" or "kmem_cache_alloc_node" or "kmem_cache_free") => CallSitePrinter.TryCreate(format),
        ("timer", "hrtimer_start" or "hrtimer_expire_entry") => HrtimerPrinter.TryCreate(format),
        ("tlb", "tlb_flush") => TlbFlushPrinter.TryCreate(format),
        ("syscalls", "sys_enter_futex") => FutexPrinter.TryCreate(format),
        _ => null,
    };

    /// <summary>All of the fields, or none: a kernel that names them otherwise is printed by its own format.</summary>
    public static bool TryFields(EventFormat format, [NotNullWhen(true)] out FieldFormat[]? fields, params ReadOnlySpan<string> names)
    {
        fields = new FieldFormat[names.Length];
        for (int i = 0; i < names.Length; i++)
        {
            if (format.Find(names[i]) is not { } field)
            {
                fields = null;
                return false;
            }
            fields[i] = field;
        }
        return true;
    }
}
