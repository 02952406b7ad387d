using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace VsockPair.Memory;

/// <summary>
/// What a kernel says of itself for those who read its memory (kernel/vmcore_info.c): lines such as <c>SYMBOL(prb)=ffffffff82e5d0a8</c>, <c>OFFSET(prb_desc.state_var)=0</c>.
/// </summary>
internal sealed class VmcoreInfo
{
    /// <summary>Kernels write 4 KiB; QEMU takes less than 1 MiB from the guest.</summary>
    public const int MaxBytes = 1 << 20;

    private const int MaxLines = 1 << 14;
    private const int BuildIdChars = 40;

    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);

    private VmcoreInfo()
    {
    }

    /// <summary><c>uname -r</c>, as the guest writes it.</summary>
    public string? Release => _values.GetValueOrDefault("OSRELEASE");

    /// <summary>40 lower-case hex digits; null from kernels before 5.9, and when it is anything else.</summary>
    public string? BuildId =>
        _values.TryGetValue("BUILD-ID", out string? value) && value.Length == BuildIdChars && value.All(char.IsAsciiHexDigitLower) ? value : null;

    public bool Is5Level => TryNumber("pgtable_l5_enabled", out long enabled) && enabled != 0;

    /// <param name="reason">Why it is none.</param>
    public static bool TryParse(ReadOnlySpan<byte> text, [NotNullWhen(true)] out VmcoreInfo? info, [NotNullWhen(false)] out string? reason)
    {
        info = null;
        if (text.Length > MaxBytes)
        {
            reason = $"VMCOREINFO of {text.Length} bytes: no kernel writes more than {MaxBytes}";
            return false;
        }
        VmcoreInfo parsed = new();
        foreach (Range range in text.Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = text[range];
            int equals = line.IndexOf((byte)'=');
            // What follows the last line is padding.
            if (equals <= 0 || !Ascii.IsValid(line) || parsed._values.Count == MaxLines)
            {
                continue;
            }
            // The kernel writes each name once; a second one is not believed.
            parsed._values.TryAdd(Encoding.ASCII.GetString(line[..equals]), Encoding.ASCII.GetString(line[(equals + 1)..]));
        }
        if (parsed.Release is null)
        {
            reason = "VMCOREINFO without OSRELEASE: not written by a Linux kernel, or damaged";
            return false;
        }
        info = parsed;
        reason = null;
        return true;
    }

    /// <summary>Virtual address of a symbol.</summary>
    public bool TrySymbol(string name, out ulong address)
    {
        address = 0;
        return _values.TryGetValue($"SYMBOL({name})", out string? value) && TryHex(value, out address);
    }

    /// <param name="name"><c>structure.member</c>.</param>
    public bool TryOffset(string name, out int offset) => TryLayout($"OFFSET({name})", out offset);

    public bool TrySize(string name, out int size) => TryLayout($"SIZE({name})", out size);

    public bool TryNumber(string name, out long number)
    {
        number = 0;
        return _values.TryGetValue($"NUMBER({name})", out string? value) && TryDecimal(value, out number);
    }

    private bool TryLayout(string key, out int value)
    {
        // No structure that a reader walks is larger than a page.
        const int most = 4096;
        value = 0;
        if (!_values.TryGetValue(key, out string? text) || !TryDecimal(text, out long number) || number is < 0 or > most)
        {
            return false;
        }
        value = (int)number;
        return true;
    }

    private static bool TryHex(string text, out ulong value) =>
        Utf8Parser.TryParse(Encoding.ASCII.GetBytes(text), out value, out int used, 'x') && used == text.Length;

    private static bool TryDecimal(string text, out long value) =>
        Utf8Parser.TryParse(Encoding.ASCII.GetBytes(text), out value, out int used) && used == text.Length;
}
