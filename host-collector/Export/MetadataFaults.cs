using VsockPair.Decoding;
using VsockPair.History;

namespace VsockPair.Export;

/// <summary>What is missing to decode a boot, and what works without it.</summary>
internal static class MetadataFaults
{
    /// <summary>The agent only runs on kernels of 64 bits: somebody has written something else, and may be right or wrong about it.</summary>
    public static string? OfLayout(HeaderPage? page) => page is { IsThatOf64Bits: true }
        ? null
        : "events/header_page of this boot does not describe the sub-buffers of a 64-bit kernel: if it is right, events are misread";

    public static IEnumerable<string> Of(BootMetadata metadata)
    {
        HashSet<string> names = [.. metadata.Names.Where(metadata.Has)];
        if (!names.Any(n => n.EndsWith("/format", StringComparison.Ordinal)))
        {
            yield return "no event format of this boot is stored: events have numbers and no names or fields";
        }
        if (!names.Contains("kallsyms") || !names.Contains("kallsyms-boot"))
        {
            yield return "the kernel's symbols (kallsyms, kallsyms-boot) of this boot are not stored: addresses have no names";
        }
        if (!names.Contains("saved_cmdlines"))
        {
            yield return "saved_cmdlines of this boot is not stored: threads have numbers and no names where an event does not say them";
        }
        if (names.Contains("events/header_page") && OfLayout(HeaderPage.TryParse(metadata.Read("events/header_page") ?? [])) is string fault)
        {
            yield return fault;
        }
    }
}
