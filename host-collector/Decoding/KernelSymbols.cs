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
        ulong text = KallsymsText.TextAddressIn(boot);
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
            address = KallsymsText.TryFind(_core, TextAddress, name, absolute: false, out ulong core) ? core
                : KallsymsText.TryFind(_boot, TextAddress, name, absolute: false, out ulong boot) ? boot : 0;
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

    private static void Add(List<(ulong, int)> symbols, byte[] file, ulong text, bool isBoot)
    {
        LineReader lines = new(file);
        while (symbols.Count < MaxSymbols && lines.TryRead(out ReadOnlySpan<byte> line))
        {
            if (line.Length <= MaxLineBytes && KallsymsText.TryParse(line, text, absolute: false, out ulong address, out int nameAt))
            {
                file.AsSpan().Overlaps(line, out int lineAt);
                symbols.Add((address, isBoot ? ~(lineAt + nameAt) : lineAt + nameAt));
            }
        }
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
