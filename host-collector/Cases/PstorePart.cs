using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Cases;

/// <summary>
/// <c>pstore/</c>: the crash records that survived. Those are of this crash which the boot that followed was the first to offer: serve stores a record once for a guest, under
/// the boot that offered it first, so what an earlier crash left lies with an earlier boot.
/// </summary>
internal static class PstorePart
{
    /// <summary>Names of the records, as the store has them.</summary>
    /// <exception cref="MissingPartException">There are none.</exception>
    public static IReadOnlyList<string> Names(CaseSource source)
    {
        string folder = source.Next is null ? throw new MissingPartException(NoBootReason(source)) : StorePaths.Pstore(source.Next.Folder);
        string[] names = !Directory.Exists(folder)
            ? []
            : [.. Directory.EnumerateFiles(folder).Select(f => Path.GetFileName(f)).Where(IsRecord).Order(StringComparer.Ordinal)];
        return names.Length > 0 ? names : throw new MissingPartException($"boot {source.Next.Name}, which followed, has offered none: the guest has no pstore that survives a reboot, or did not get as far as writing to it");
    }

    public static PartContent Write(CaseSource source, string name, Stream target)
    {
        using FileStream record = JsonLines.Open(Path.Combine(StorePaths.Pstore(source.Next!.Folder), name));
        record.CopyTo(target);
        return new PartContent(PartContent.FromPstore, null);
    }

    /// <summary>serve lets only such names in; what lies there otherwise is nobody's record, and what is being received has another suffix.</summary>
    public static bool IsRecord(string name) =>
        name.Length > IncomingFile.ShortHashChars && name[0] != '.' && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-')
        && name[^IncomingFile.ShortHashChars..].All(char.IsAsciiHexDigitLower);

    private static string NoBootReason(CaseSource source) => source.Event.Kind is CaseKinds.Dump or CaseKinds.Hang
        ? "the guest has not booted anew since"
        : $"{TerminalText.Escape(source.Event.Guest)} has not come back: its next boot hands over what its pstore holds";
}
