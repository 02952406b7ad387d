using VsockPair.Watch;

namespace VsockPair.Cases;

/// <summary>Names of <see cref="CaseMemory.Format"/>.</summary>
internal static class CaseFormats
{
    public const string Elf = "elf";
    public const string Kdump = "kdump";
    public const string KdumpFlattened = "kdump-flattened";

    public static string Of(MemoryFormat format) => format switch
    {
        MemoryFormat.Elf => Elf,
        MemoryFormat.Kdump => Kdump,
        _ => KdumpFlattened,
    };
}
