using System.Diagnostics.CodeAnalysis;
using Microsoft.Win32.SafeHandles;
using VsockPair.Linux;
using VsockPair.Text;
using VsockPair.Watch;

namespace VsockPair.Memory;

/// <summary>Opens a dump in any of the formats that QEMU and libvirt write.</summary>
internal static class MemoryFiles
{
    public const int MagicBytes = 16;

    /// <summary>What a dump says that it is, by its first bytes; null when it is none.</summary>
    public static MemoryFormat? FormatOf(ReadOnlySpan<byte> magic) =>
        magic.StartsWith(ElfCore.Magic) ? MemoryFormat.Elf
        : magic.StartsWith(KdumpCore.Magic) ? MemoryFormat.Kdump
        : magic.StartsWith(FlattenedFile.Magic) ? MemoryFormat.KdumpFlattened
        : null;

    /// <param name="file">Open for reading.</param>
    public static unsafe MemoryFormat? FormatOf(Fd file)
    {
        // The stack does not move.
        byte* magic = stackalloc byte[MagicBytes];
        return FormatOf(new ReadOnlySpan<byte>(magic, Math.Max(0, Sys.PRead(file.Value, magic, MagicBytes, 0))));
    }

    /// <param name="reason">Why it is no memory that can be read.</param>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be opened.</exception>
    public static bool TryOpen(string path, [NotNullWhen(true)] out MemoryFile? memory, [NotNullWhen(false)] out string? reason)
    {
        SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, FileOptions.RandomAccess);
        return TryOpen(new FileBytes(handle), out memory, out reason);
    }

    /// <param name="file">Belongs to <paramref name="memory"/> from then on, and is closed when there is none.</param>
    public static bool TryOpen(IByteSource file, [NotNullWhen(true)] out MemoryFile? memory, [NotNullWhen(false)] out string? reason)
    {
        memory = null;
        Span<byte> magic = stackalloc byte[MagicBytes];
        if (!file.TryRead(0, magic))
        {
            reason = $"it has {file.Length} bytes, too few for any dump";
        }
        else
        {
            switch (FormatOf(magic))
            {
                case MemoryFormat.Elf:
                    memory = ElfCore.TryOpen(file, out reason);
                    break;
                case MemoryFormat.Kdump:
                    memory = KdumpCore.TryOpen(file, MemoryFormat.Kdump, out reason);
                    break;
                case MemoryFormat.KdumpFlattened:
                    FlattenedFile? flattened = FlattenedFile.TryOpen(file, out reason);
                    memory = flattened is null ? null : KdumpCore.TryOpen(flattened, MemoryFormat.KdumpFlattened, out reason);
                    break;
                default:
                    reason = $"it begins with \"{TerminalText.Escape(magic[..8])}\": neither an ELF core nor kdump-compressed";
                    break;
            }
        }
        if (memory is null)
        {
            file.Dispose();
            reason ??= "it cannot be read";
            return false;
        }
        reason = null;
        return true;
    }
}
