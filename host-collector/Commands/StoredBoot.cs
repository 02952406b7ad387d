using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary>One boot's folder: its name is the boot id, with <c>.N</c> for a later life.</summary>
internal sealed record StoredBoot(string Folder, string Name, BootRecord? Record, DateTimeOffset Started)
{
    /// <summary>The line above what is shown of it, where more than one boot may be.</summary>
    public string Headline => $"-- boot {Name}{(Record is null ? "" : $", kernel {TerminalText.Escape(Record.Kernel)}")}, first seen {RfcTimeConverter.Text(Started)} --";

    /// <summary>Null for a folder that is none of the store's.</summary>
    public static StoredBoot? TryOpen(string folder)
    {
        string name = Path.GetFileName(folder);
        if (!StorePaths.TryParseBootName(name, out _, out _))
        {
            return null;
        }
        BootRecord? record = DurableFile.TryRead(StorePaths.BootRecord(folder), StoreJson.Default.BootRecord);
        // Without its record a boot still has a place in time: when its folder was last added to.
        return new StoredBoot(folder, name, record, record?.Started ?? new DateTimeOffset(Directory.GetLastWriteTimeUtc(folder), TimeSpan.Zero));
    }

    /// <summary>Sequence of the first record of each kernel log file, in order; read from names alone.</summary>
    public ulong[] KmsgFiles()
    {
        string folder = StorePaths.Kmsg(Folder);
        if (!Directory.Exists(folder))
        {
            return [];
        }
        List<ulong> sequences = [];
        foreach (string path in Directory.EnumerateFiles(folder))
        {
            if (StorePaths.TryParseKmsgName(Path.GetFileName(path.AsSpan()), out ulong first))
            {
                sequences.Add(first);
            }
        }
        sequences.Sort();
        return [.. sequences];
    }

    public string KmsgPath(ulong first) => Path.Combine(StorePaths.Kmsg(Folder), StorePaths.KmsgName(first));
}
