namespace VsockPair.Decoding;

/// <summary>A time as <c>trace-cmd report</c> prints it: seconds, five columns at least, and microseconds, rounded.</summary>
internal static class ReportTime
{
    private static readonly Printing.Conversion Seconds = new() { Specifier = 'u', Precision = -1, Width = 5, Length = 2 };
    private static readonly Printing.Conversion Microseconds = new() { Specifier = 'u', Precision = 6, Length = 2 };

    public static void Append(TextLine target, ulong nanoseconds)
    {
        ulong microseconds = unchecked(nanoseconds + 500) / 1000;
        Seconds.AppendNumber(target, microseconds / 1_000_000);
        target.Append('.');
        Microseconds.AppendNumber(target, microseconds % 1_000_000);
    }
}
