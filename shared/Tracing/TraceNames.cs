using VsockPair.Protocol;

namespace VsockPair.Tracing;

/// <summary>
/// What may be asked of a guest's tracing. Every name becomes part of a path or a word of the kernel's own languages (<c>set_ftrace_filter</c> knows commands,
/// a number there is a line), so only characters that mean nothing there are let in. The collector looks before it sends, the agent before it obeys.
/// </summary>
public static class TraceNames
{
    public const string Function = "function";
    public const string FunctionGraph = "function_graph";

    private const int MaxNameChars = 128;
    private const int FewestPlainChars = 3;

    /// <returns>Null, or what is wrong with the first thing that is.</returns>
    public static string? FaultOf(in TraceSettings settings, int seconds)
    {
        int chars = 0;
        string? fault = FirstFault(settings.Events, FaultOfEvent, ref chars) ?? FirstFault(settings.Filters, FaultOfFilter, ref chars)
            ?? FirstFault(settings.Functions, FaultOfFunction, ref chars) ?? FirstFault(settings.DynamicDebug, FaultOfQuery, ref chars);
        return fault is not null ? fault
            : settings.Tracer is not ("" or Function or FunctionGraph) ? $"\"{settings.Tracer}\" is no tracer: write {Function} or {FunctionGraph}"
            : settings.Tracer.Length > 0 != settings.Functions.Count > 0 ? "a tracer needs functions to follow, and functions need a tracer"
            : settings.BufferKb is not 0 and (< Wire.MinTraceBufferKb or > Wire.MaxTraceBufferKb)
                ? $"a buffer has {Wire.MinTraceBufferKb} to {Wire.MaxTraceBufferKb} KiB per vCPU"
            : seconds is < 0 or > Wire.MaxTraceSeconds ? "a trace lasts at most a day"
            : chars > Wire.MaxTraceTextChars ? $"a request has at most {Wire.MaxTraceTextChars} characters of names and filters"
            : null;
    }

    /// <summary>SYSTEM or SYSTEM:EVENT, with * and ?.</summary>
    public static bool IsEvent(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 ? IsName(text, "-_*?") : IsName(text[..colon], "-_*?") && IsName(text[(colon + 1)..], "-_*?");
    }

    /// <summary>Cuts <c>SYSTEM:EVENT EXPRESSION</c>.</summary>
    public static bool TrySplitFilter(string filter, out string name, out string expression)
    {
        int space = filter.IndexOf(' ', StringComparison.Ordinal);
        name = space < 0 ? "" : filter[..space];
        expression = space < 0 ? "" : filter[space..].Trim(' ');
        int colon = name.IndexOf(':', StringComparison.Ordinal);
        return colon > 0 && IsName(name[..colon], "-_") && IsName(name[(colon + 1)..], "-_");
    }

    private static string? FirstFault(IReadOnlyList<string> texts, Func<string, string?> faultOf, ref int chars)
    {
        for (int i = 0; i < texts.Count; i++)
        {
            chars += texts[i].Length;
            if (faultOf(texts[i]) is string fault)
            {
                return fault;
            }
        }
        return null;
    }

    private static string? FaultOfEvent(string text) =>
        IsEvent(text) ? null : $"\"{text}\" is no event: write SYSTEM or SYSTEM:EVENT, e.g. sched:sched_switch";

    private static string? FaultOfFilter(string filter)
    {
        return !IsPrintable(filter) ? "a filter has printable ASCII characters only"
            : !TrySplitFilter(filter, out _, out string expression) || expression.Length == 0
            ? $"\"{filter}\" is no filter: write SYSTEM:EVENT EXPRESSION, e.g. kmem:kmalloc bytes_req > 4096"
            // To the kernel that is the word for no filter.
            : expression == "0" ? "\"0\" is no expression: leave the filter out"
            : filter.Length >= Wire.MaxStringBytes ? $"a filter has less than {Wire.MaxStringBytes} characters"
            : null;
    }

    private static string? FaultOfFunction(string text)
    {
        return IsName(text, "_.*?") && IsNarrow(text) && !char.IsAsciiDigit(text[0]) ? null
            : $"\"{text}\" is no function: write letters, digits, _ and ., with * and ? but at least {FewestPlainChars} characters that are none";
    }

    /// <summary>
    /// One query of dynamic_debug: pairs of a word that chooses and what it chooses, then flags. Without a pair, and with patterns that every name fits, it would be the whole
    /// kernel; a semicolon or the end of a line would begin another.
    /// </summary>
    private static string? FaultOfQuery(string text)
    {
        ReadOnlySpan<char> rest = text;
        bool isNarrow = false;
        bool isWhole = text.Length < Wire.MaxStringBytes;
        while (isWhole && !rest.IsEmpty && rest[0] is not ('+' or '-' or '='))
        {
            ReadOnlySpan<char> word = TakeWord(ref rest);
            bool isKnown = word is "file" or "func" or "module" or "line" or "format";
            ReadOnlySpan<char> value = rest.IsEmpty || rest[0] != '"' || word is not "format" ? TakeWord(ref rest) : TakeQuoted(ref rest);
            isWhole = isKnown && !value.IsEmpty && !HasAny(value, "\";#\\") && IsPrintable(value);
            isNarrow |= word is not "line" && IsNarrow(value);
        }
        return isWhole && isNarrow && rest.Length > 1 && !HasOther(rest[1..], "pflmt_") ? null
            : $"\"{text}\" is no line for dynamic_debug: write file, func, module, line or format, each with a value, and then +, - or = with some of pflmt_, e.g. module kvm +p; "
                + $"one of the values, not of line, has at least {FewestPlainChars} characters other than * and ?";
    }

    /// <summary>Not a pattern that nearly everything fits.</summary>
    private static bool IsNarrow(ReadOnlySpan<char> pattern)
    {
        int plain = 0;
        foreach (char c in pattern)
        {
            plain += c is '*' or '?' ? 0 : 1;
        }
        return plain >= FewestPlainChars;
    }

    private static ReadOnlySpan<char> TakeWord(ref ReadOnlySpan<char> rest)
    {
        int end = rest.IndexOf(' ');
        ReadOnlySpan<char> word = end < 0 ? rest : rest[..end];
        rest = end < 0 ? default : rest[(end + 1)..];
        return word;
    }

    private static ReadOnlySpan<char> TakeQuoted(ref ReadOnlySpan<char> rest)
    {
        rest = rest[1..];
        int end = rest.IndexOf("\" ", StringComparison.Ordinal);
        ReadOnlySpan<char> value = end < 0 ? default : rest[..end];
        rest = end < 0 ? default : rest[(end + 2)..];
        return value;
    }

    private static bool IsPrintable(ReadOnlySpan<char> text)
    {
        foreach (char c in text)
        {
            if (c is < ' ' or > '~')
            {
                return false;
            }
        }
        return true;
    }

    private static bool HasAny(ReadOnlySpan<char> text, string of)
    {
        foreach (char c in text)
        {
            if (of.Contains(c, StringComparison.Ordinal))
            {
                return true;
            }
        }
        return false;
    }

    private static bool HasOther(ReadOnlySpan<char> text, string than)
    {
        foreach (char c in text)
        {
            if (!than.Contains(c, StringComparison.Ordinal))
            {
                return true;
            }
        }
        return false;
    }

    private static bool IsName(string text, string besides)
    {
        foreach (char c in text)
        {
            if (!char.IsAsciiLetterOrDigit(c) && !besides.Contains(c, StringComparison.Ordinal))
            {
                return false;
            }
        }
        return text.Length is > 0 and <= MaxNameChars;
    }
}
