using VsockPair.Storage;

namespace VsockPair.Watch;

/// <summary>A boot of a guest, as <c>serve</c> has stored it.</summary>
/// <param name="Name">Of its folder.</param>
internal sealed record KnownBoot(string Name, BootRecord Record);

/// <summary>The boots of a guest in the store, which another process writes meanwhile.</summary>
internal sealed class BootFinder(string store)
{
    /// <summary>Oldest first.</summary>
    public IReadOnlyList<KnownBoot> Of(string guest)
    {
        List<KnownBoot> boots = [];
        string folder = StorePaths.Boots(StorePaths.Guest(store, guest));
        try
        {
            foreach (string boot in Directory.Exists(folder) ? Directory.EnumerateDirectories(folder) : [])
            {
                string name = Path.GetFileName(boot);
                if (StorePaths.TryParseBootName(name, out _, out _) && DurableFile.TryRead(StorePaths.BootRecord(boot), StoreJson.Default.BootRecord) is BootRecord record)
                {
                    boots.Add(new KnownBoot(name, record));
                }
            }
        }
        catch (IOException)
        {
            // Retention has removed one meanwhile; what is left is seen the next time.
        }
        return [.. boots.OrderBy(b => b.Record.Started)];
    }

    /// <summary>The boot that runs, as far as the store knows: none that began before the machine was last reset or started.</summary>
    public KnownBoot? Running(string guest, DateTimeOffset? machineBegan) =>
        Of(guest) is [.., KnownBoot newest] && !(newest.Record.Started < machineBegan) ? newest : null;

    /// <summary>The first boot after a crash.</summary>
    /// <param name="dead">Folder of the boot that crashed; null when the guest had no agent.</param>
    public KnownBoot? Next(string guest, string? dead, DateTimeOffset crashed)
    {
        IReadOnlyList<KnownBoot> boots = Of(guest);
        KnownBoot? before = boots.FirstOrDefault(b => b.Name == dead);
        DateTimeOffset after = before?.Record.Started ?? crashed;
        return boots.FirstOrDefault(b => b.Name != dead && b.Record.Started > after);
    }
}
