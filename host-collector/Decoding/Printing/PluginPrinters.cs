namespace VsockPair.Decoding.Printing;

/// <summary>Allocations: the calling function before what the kernel's own format prints.</summary>
internal sealed class CallSitePrinter(FieldFormat callSite, EventPrinter rest) : EventPrinter
{
    public static CallSitePrinter? TryCreate(EventFormat format) =>
        format.Find("call_site") is { } callSite ? new CallSitePrinter(callSite, ByFormat(format)) : null;

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        ulong address = context.Unsigned(callSite);
        if (context.Catalog.Symbols.TryFind(address, out KernelSymbol symbol))
        {
            target.Append('(');
            target.Append(symbol.Name);
            target.Append("+0x"u8);
            target.AppendHex((uint)(address - symbol.Address));
            target.Append(") "u8);
        }
        rest.Append(target, context, state);
    }
}

/// <summary><c>hrtimer_start</c> and <c>hrtimer_expire_entry</c>.</summary>
internal sealed class HrtimerPrinter(FieldFormat timer, FieldFormat? now, FieldFormat? function, FieldFormat? expires, FieldFormat? softExpires) : EventPrinter
{
    public static HrtimerPrinter? TryCreate(EventFormat format) =>
        (format.Find("timer") ?? format.Find("hrtimer")) is { } timer && (format.Name == "hrtimer_start" || format.Find("now") is not null)
            ? new HrtimerPrinter(timer, format.Find("now"), format.Find("function"), format.Find("expires"), format.Find("softexpires"))
            : null;

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        target.Append("hrtimer=0x"u8);
        target.AppendHex(context.Unsigned(timer));
        AppendTime(target, context, " now="u8, now);
        if (function is not null)
        {
            AppendFunction(target, context, context.Unsigned(function));
        }
        AppendTime(target, context, " expires="u8, expires);
        AppendTime(target, context, " softexpires="u8, softExpires);
    }

    private static void AppendTime(TextLine target, in PrintContext context, ReadOnlySpan<byte> label, FieldFormat? time)
    {
        if (time is not null)
        {
            target.Append(label);
            target.AppendDecimal(context.Unsigned(time));
        }
    }

    private static void AppendFunction(TextLine target, in PrintContext context, ulong address)
    {
        target.Append(" function="u8);
        if (context.Catalog.Symbols.TryFind(address, out KernelSymbol symbol))
        {
            target.Append(symbol.Name);
            target.Append("/0x"u8);
            target.AppendHex(unchecked(symbol.Address - address));
        }
        else
        {
            target.Append("0x"u8);
            target.AppendHex(address, minDigits: 8);
        }
    }
}

internal sealed class TlbFlushPrinter(FieldFormat pages, FieldFormat reason) : EventPrinter
{
    public static TlbFlushPrinter? TryCreate(EventFormat format) =>
        KnownEvents.TryFields(format, out FieldFormat[]? fields, "pages", "reason") ? new TlbFlushPrinter(fields[0], fields[1]) : null;

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        ulong why = context.Unsigned(reason);
        target.Append("pages="u8);
        target.AppendDecimal((long)context.Unsigned(pages));
        target.Append(" reason="u8);
        target.Append(why switch
        {
            0 => "flush on task switch"u8,
            1 => "remote shootdown"u8,
            2 => "local shootdown"u8,
            3 => "local mm shootdown"u8,
            _ => ""u8,
        });
        target.Append(" ("u8);
        target.AppendDecimal((long)why);
        target.Append(')');
    }
}

/// <summary>The futex system call, with the arguments that its operation uses (<c>man 2 futex</c>).</summary>
internal sealed class FutexPrinter(FieldFormat[] fields, EventPrinter fallback) : EventPrinter
{
    private const ulong Private = 128;
    private const ulong RealTime = 256;

    /// <summary>For each operation: its name and, for val, utime, uaddr2 and val3, whether it is shown as an address (x), as a number (u) or not (-).</summary>
    private static readonly (string Name, string Arguments)[] Operations =
    [
        ("FUTEX_WAIT", "xx--"), ("FUTEX_WAKE", "u---"), ("FUTEX_FD", "u---"), ("FUTEX_REQUEUE", "uux-"), ("FUTEX_CMP_REQUEUE", "uuxx"),
        ("FUTEX_WAKE_OP", "uuxx"), ("FUTEX_LOCK_PI", "-x--"), ("FUTEX_UNLOCK_PI", "----"), ("FUTEX_TRYLOCK_PI", "----"), ("FUTEX_WAIT_BITSET", "xx-x"),
        ("FUTEX_WAKE_BITSET", "u--x"), ("FUTEX_WAIT_REQUEUE_PI", "xxxx"), ("FUTEX_CMP_REQUEUE_PI", "uuxx"),
    ];

    public static FutexPrinter? TryCreate(EventFormat format) =>
        KnownEvents.TryFields(format, out FieldFormat[]? fields, "op", "uaddr", "val", "utime", "uaddr2", "val3") ? new FutexPrinter(fields, ByFormat(format)) : null;

    public override void Append(TextLine target, in PrintContext context, PrintState state)
    {
        ulong operation = context.Unsigned(fields[0]);
        ulong command = operation & ~(Private | RealTime);
        if (command >= (ulong)Operations.Length)
        {
            fallback.Append(target, context, state);
            return;
        }
        (string name, string arguments) = Operations[command];
        target.Append("op="u8);
        target.AppendLatin1(name);
        target.Append((operation & Private) != 0 ? "|FUTEX_PRIVATE_FLAG"u8 : ""u8);
        target.Append((operation & RealTime) != 0 ? "|FUTEX_CLOCK_REALTIME"u8 : ""u8);
        AppendArgument(target, "uaddr", 'x', context.Unsigned(fields[1]));
        AppendArgument(target, "val", arguments[0], context.Unsigned(fields[2]));
        AppendArgument(target, arguments[1] == 'u' ? "val2" : "utime", arguments[1], context.Unsigned(fields[3]));
        AppendArgument(target, "uaddr2", arguments[2], context.Unsigned(fields[4]));
        AppendArgument(target, "val3", arguments[3], context.Unsigned(fields[5]));
    }

    private static void AppendArgument(TextLine target, string name, char form, ulong value)
    {
        if (form == '-')
        {
            return;
        }
        target.Append(' ');
        target.AppendLatin1(name);
        target.Append('=');
        if (form == 'x')
        {
            target.Append("0x"u8);
            target.AppendHex(value, minDigits: 8);
        }
        else
        {
            target.AppendDecimal(value);
        }
    }
}
