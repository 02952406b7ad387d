using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;

namespace VsockPair.Memory;

/// <summary>Finds the guest's VMCOREINFO: in the notes of the dump, or at the place that the guest told while it ran.</summary>
internal static class VmcoreInfoSource
{
    /// <param name="place">Metadata <c>vmcoreinfo</c> of this very boot: <c>/sys/kernel/vmcoreinfo</c>, "ADDRESS SIZE" in hex. Null when it is not stored.</param>
    /// <param name="reason">Why there is none, and what would mend that.</param>
    public static bool TryFind(
        IPhysicalMemory memory, CoreNotes notes, ReadOnlySpan<byte> place, [NotNullWhen(true)] out VmcoreInfo? info, [NotNullWhen(false)] out string? reason)
    {
        if (notes.FindVmcoreInfo() is { } note)
        {
            return VmcoreInfo.TryParse(notes.ContentOf(note), out info, out reason);
        }
        info = null;
        if (place.IsEmpty)
        {
            reason = "no VMCOREINFO: the guest has no vmcoreinfo device (QEMU: -device vmcoreinfo; libvirt: <vmcoreinfo state='on'/>) or not its driver (qemu_fw_cfg), "
                + "and no agent told its place";
            return false;
        }
        if (!TryParsePlace(place, out ulong address, out int bytes))
        {
            reason = "no VMCOREINFO: the place that the agent told makes no sense";
            return false;
        }
        byte[] content = new byte[bytes];
        if (!memory.TryRead(address, content))
        {
            reason = $"no VMCOREINFO: its place, {address:x}, is not in this memory";
            return false;
        }
        CoreNotes told = CoreNotes.Parse(content);
        if (told.FindVmcoreInfo() is not { } found)
        {
            reason = $"no VMCOREINFO: none at {address:x}, where the agent told it; memory of another boot, or damaged";
            return false;
        }
        return VmcoreInfo.TryParse(told.ContentOf(found), out info, out reason);
    }

    // "0x000000010a3e5000 1024\n", the size in hex as well.
    private static bool TryParsePlace(ReadOnlySpan<byte> text, out ulong address, out int bytes)
    {
        bytes = 0;
        ReadOnlySpan<byte> rest = text.StartsWith("0x"u8) ? text[2..] : text;
        return Utf8Parser.TryParse(rest, out address, out int digits, 'x') && digits < rest.Length && rest[digits] == ' '
            && Utf8Parser.TryParse(rest[(digits + 1)..], out bytes, out int _, 'x') && bytes is > 0 and <= VmcoreInfo.MaxBytes;
    }
}
