using System.Buffers.Text;
using System.Text;

namespace VsockPair.Decoding;

/// <summary>
/// The kernel's symbols at the addresses of one boot: <c>kallsyms</c> moved to where this boot's <c>_text</c> is, and the modules' symbols of
/// <c>kallsyms-boot</c>. Keeps the files' bytes and two numbers for each symbol.
/// </summary>
public sealed class KernelSymbols
{
    /// <summary>Debian's kernel has 200 000.</summary>
    private const int MaxSymbols = 1 << 20;

    /// <summary>Kernels use one or two names; a hostile one shall not have its own text searched for ever.</summary>
    private const int MaxSearches = 64;

    /// <summary>A name has at most 512 (<c>KSYM_NAME_LEN</c>), and may be printed with each event.</summary>
    private const int MaxLineBytes = 1 << 10;

    private readonly byte[] _core;
    private readonly byte[] _boot;
    private readonly ulong[] _addresses;
    private readonly Dictionary<string, ulong> _found = new(StringComparer.Ordinal);

    /// <summary>Where the name begins: from 0 in the core's file, from -1 downwards in the boot's.</summary>
    private readonly int[] _names;

    private KernelSymbols(byte[] core, byte[] boot, ulong text, ulong[] addresses, int[] names)
    {
        _core = core;
        _boot = boot;
        TextAddress = text;
        _addresses = addresses;
        _names = names;
    }

    public static KernelSymbols Empty { get; } = new([], [], 0, [], []);

    /// <summary>Where <c>_text</c> lies in this boot; 0 when the guest does not show it.</summary>
    public ulong TextAddress { get; }

    public int Count => _addresses.Length;

    /// <param name="core">File <c>kallsyms</c>.</param>
    /// <param name="boot">File <c>kallsyms-boot</c>.</param>
    public static KernelSymbols Parse(byte[] core, byte[] boot)
    {
        ulong text = 0;
        LineReader first = new(boot);
        if (first.TryRead(out ReadOnlySpan<byte> line) && Utf8Parser.TryParse(line, out ulong address, out int digits, 'x') && line[digits..].SequenceEqual(" _text"u8))
        {
            text = address;
        }
        List<(ulong Address, int Name)> symbols = new((core.Length + boot.Length) / 48);
        Add(symbols, core, text, isBoot: false);
        Add(symbols, boot, text, isBoot: true);

        // Later lines first among those of one address, as trace-cmd has them: which of several names is shown depends on it.
        symbols.Sort((a, b) => a.Address != b.Address ? a.Address.CompareTo(b.Address) : Line(b.Name).CompareTo(Line(a.Name)));
        ulong[] addresses = new ulong[symbols.Count];
        int[] names = new int[symbols.Count];
        for (int i = 0; i < names.Length; i++)
        {
            (addresses[i], names[i]) = symbols[i];
        }
        return new KernelSymbols(core, boot, text, addresses, names);
    }

    /// <summary>The symbol that an address lies in. The last symbol of all has no known end: only its first address is found.</summary>
    public bool TryFind(ulong address, out KernelSymbol symbol)
    {
        int low = 0;
        int high = _addresses.Length;
        while (low < high)
        {
            int middle = (int)(((uint)low + (uint)high) / 2);
            ulong start = _addresses[middle];
            if (address < start)
            {
                high = middle;
            }
            else if (address == start || (middle + 1 < _addresses.Length && address < _addresses[middle + 1]))
            {
                symbol = new KernelSymbol(middle, start, NameAt(_names[middle]));
                return true;
            }
            else
            {
                low = middle + 1;
            }
        }
        symbol = default;
        return false;
    }

    /// <summary>The address of a symbol, or 0; of several the first in the files. Looks through all of them: only for the few names that print formats use, and for no more than those.</summary>
    public ulong AddressOf(string name)
    {
        lock (_found)
        {
            if (_found.TryGetValue(name, out ulong address) || _found.Count == MaxSearches)
            {
                return address;
            }
            byte[] wanted = Encoding.Latin1.GetBytes(name);
            long line = long.MaxValue;
            for (int i = 0; i < _names.Length; i++)
            {
                if (Line(_names[i]) < line && new KernelSymbol(i, _addresses[i], NameAt(_names[i])).Name.SequenceEqual(wanted))
                {
                    line = Line(_names[i]);
                    address = _addresses[i];
                }
            }
            _found.Add(name, address);
            return address;
        }
    }

    private ReadOnlySpan<byte> NameAt(int name)
    {
        ReadOnlySpan<byte> rest = name >= 0 ? _core.AsSpan(name) : _boot.AsSpan(~name);
        int end = rest.IndexOf((byte)'\n');
        return end < 0 ? rest : rest[..end];
    }

    // "+5a0 T name", "ffffffff81000000 T name", "ffffffffc0000000 t name\t[module]"
    private static void Add(List<(ulong, int)> symbols, byte[] file, ulong text, bool isBoot)
    {
        LineReader lines = new(file);
        while (symbols.Count < MaxSymbols && lines.TryRead(out ReadOnlySpan<byte> line))
        {
            if (line.Length <= MaxLineBytes && TryParse(line, text, out ulong address, out int nameAt))
            {
                file.AsSpan().Overlaps(line, out int lineAt);
                symbols.Add((address, isBoot ? ~(lineAt + nameAt) : lineAt + nameAt));
            }
        }
    }

    /// <returns>False also for symbols that are no places in the kernel's text or data, as trace-cmd has it.</returns>
    private static bool TryParse(ReadOnlySpan<byte> line, ulong text, out ulong address, out int nameAt)
    {
        bool isRelative = line.StartsWith("+"u8);
        ReadOnlySpan<byte> rest = isRelative ? line[1..] : line;
        nameAt = 0;
        // Without _text the relative ones have no place.
        if ((isRelative && text == 0) || !Utf8Parser.TryParse(rest, out address, out int digits, 'x') || rest.Length < digits + 4
            || rest[digits] != ' ' || rest[digits + 2] != ' ' || rest[digits + 1] is (byte)'A' or (byte)'a' || rest[digits + 3] == '$')
        {
            address = 0;
            return false;
        }
        address += isRelative ? text : 0;
        nameAt = line.Length - rest.Length + digits + 3;
        return true;
    }

    /// <summary>The boot's lines come after the core's.</summary>
    private static long Line(int name) => name >= 0 ? name : ((long)1 << 32) + ~name;
}

/// <summary>A symbol, and where it begins.</summary>
public readonly ref struct KernelSymbol(int index, ulong address, ReadOnlySpan<byte> text)
{
    private readonly ReadOnlySpan<byte> _text = text;

    /// <summary>Among all, by address.</summary>
    public int Index { get; } = index;

    public ulong Address { get; } = address;

    public ReadOnlySpan<byte> Name => _text.IndexOf((byte)'\t') is int tab and >= 0 ? _text[..tab] : _text;

    /// <summary>Without brackets; empty for the kernel's own.</summary>
    public ReadOnlySpan<byte> Module => _text.IndexOf("\t["u8) is int tab and >= 0 && _text[^1] == ']' ? _text[(tab + 2)..^1] : default;
}
