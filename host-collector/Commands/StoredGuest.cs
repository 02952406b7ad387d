using VsockPair.Options;
using VsockPair.Storage;
using VsockPair.Text;

namespace VsockPair.Commands;

/// <summary>One guest's folder in the store, as a reader finds it: with or without a running collector, whole or cut short by a crash.</summary>
internal sealed class StoredGuest
{
    private StoredGuest(string folder, string name)
    {
        Folder = folder;
        Name = name;
        Record = DurableFile.TryRead(StorePaths.GuestRecord(folder), StoreJson.Default.GuestRecord);
        string boots = StorePaths.Boots(folder);
        Boots = !Directory.Exists(boots)
            ? []
            : [.. Directory.GetDirectories(boots).Select(StoredBoot.TryOpen).OfType<StoredBoot>()
                .OrderBy(b => b.Started).ThenBy(b => b.Name, StringComparer.Ordinal)];
    }

    public string Folder { get; }

    public string Name { get; }

    /// <summary>Null when guest.json is missing or cannot be read.</summary>
    public GuestRecord? Record { get; }

    /// <summary>Oldest first.</summary>
    public IReadOnlyList<StoredBoot> Boots { get; }

    public StoredBoot? NewestBoot => Boots.Count > 0 ? Boots[^1] : null;

    public static IReadOnlyList<string> Names(string store)
    {
        string guests = StorePaths.Guests(store);
        return Directory.Exists(guests)
            ? [.. Directory.GetDirectories(guests).Select(f => Path.GetFileName(f)).Where(n => GuestName.IsSafe(n)).Order(StringComparer.Ordinal)]
            : [];
    }

    public static StoredGuest Open(string store, string name) => new(StorePaths.Guest(store, name), name);

    /// <exception cref="CommandFailure">There is no such guest, or no store.</exception>
    public static StoredGuest Find(string store, string name)
    {
        if (!Directory.Exists(store))
        {
            throw new CommandFailure(ExitCode.NothingFound, $"no store at {TerminalText.Escape(store)}; name it with --store, or start vsockpair serve");
        }
        IReadOnlyList<string> names = Names(store);
        return names.Contains(name)
            ? Open(store, name)
            : throw new CommandFailure(
                ExitCode.NothingFound,
                $"no guest {TerminalText.Escape(name)}; " + (names.Count > 0 ? $"known: {string.Join(", ", names)}" : "none has connected yet"));
    }

    /// <param name="wanted">0 or a negative number counts back from the newest; anything else is the beginning of a boot's id.</param>
    /// <exception cref="CommandFailure">None or more than one is meant.</exception>
    public StoredBoot FindBoot(string wanted)
    {
        if (wanted.Length == 0)
        {
            throw new CommandFailure(ExitCode.Usage, "-b is empty: write the beginning of a boot's id, 0 for the newest, -1 for the one before");
        }
        bool counted = int.TryParse(wanted, out int back) && back <= 0 && back > -100_000;
        if (counted && -back < Boots.Count)
        {
            return Boots[^(1 - back)];
        }
        StoredBoot[] found = counted ? [] : [.. Boots.Where(b => b.Name.StartsWith(wanted, StringComparison.OrdinalIgnoreCase))];
        // The id of a first life is also the beginning of its later lives' names.
        StoredBoot? exact = found.FirstOrDefault(b => b.Name.Equals(wanted, StringComparison.OrdinalIgnoreCase));
        if (exact is not null || found.Length == 1)
        {
            return exact ?? found[0];
        }
        string known = Boots.Count == 0 ? "none is stored" : $"stored, newest last: {string.Join(", ", Boots.TakeLast(10).Select(b => b.Name))}";
        throw found.Length == 0
            ? new CommandFailure(ExitCode.NothingFound, $"no boot {TerminalText.Escape(wanted)} of {Name}; {known}")
            : new CommandFailure(ExitCode.Usage, $"{found.Length} boots of {Name} begin with {TerminalText.Escape(wanted)}: {string.Join(", ", found.Select(b => b.Name))}");
    }
}
