using VsockPair.Decoding;

namespace VsockPair.Memory;

/// <summary>
/// Addresses of the kernel's own variables, by name, in one guest's memory: the stored symbols of its kernel, moved to where address randomisation has put it.
/// </summary>
internal sealed class KernelAddresses
{
    /// <summary>Any other than 0 would do: only what lies between two symbols of it is used.</summary>
    private const ulong AsLinked = 0xFFFF_FFFF_8100_0000;

    private readonly byte[] _core;
    private readonly byte[] _boot;
    private readonly ulong _text;

    private KernelAddresses(byte[] core, byte[] boot, ulong text)
    {
        _core = core;
        _boot = boot;
        _text = text;
    }

    /// <param name="core">The stored file <c>kallsyms</c> of this kernel, of any of its boots.</param>
    /// <param name="boot">The stored file <c>kallsyms-boot</c> of this boot; empty when there is none.</param>
    /// <param name="info">Of this memory: it has the last word on where the kernel lies.</param>
    /// <param name="fault">Why there are no addresses; empty when there are.</param>
    public static KernelAddresses? TryCreate(byte[] core, byte[] boot, VmcoreInfo? info, out string fault)
    {
        ulong text = KallsymsText.TextAddressIn(boot);
        if (info is not null && info.TrySymbol("_stext", out ulong stext) && KallsymsText.TryFind(core, AsLinked, "_stext", absolute: false, out ulong linked))
        {
            text = AsLinked + (stext - linked);
        }
        fault = core.Length == 0 ? "the kernel's symbols are not stored (kallsyms)"
            : text == 0 ? "where the kernel lies in this boot is not known: neither VMCOREINFO nor a stored kallsyms-boot says it"
            : "";
        return fault.Length == 0 ? new KernelAddresses(core, boot, text) : null;
    }

    /// <summary>Per-CPU variables have their place within a CPU's area, where the kernel keeps it so.</summary>
    public ulong? Find(string name) =>
        KallsymsText.TryFind(_core, _text, name, absolute: true, out ulong core) ? core
        : KallsymsText.TryFind(_boot, _text, name, absolute: true, out ulong boot) ? boot : null;
}
