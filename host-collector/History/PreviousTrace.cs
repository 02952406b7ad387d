using System.Text;
using VsockPair.Commands;
using VsockPair.Storage;

namespace VsockPair.History;

/// <summary>What a boot's agent found in the guest's persistent trace ring, and says of it in <c>previous/info</c> (PROTOCOL.md, "Previous"). All of it is a claim.</summary>
/// <param name="Finder">The boot that found it.</param>
/// <param name="BootId">Of the boot that was recorded; null where its agent had not said so in the ring.</param>
/// <param name="Clock">Of its time stamps; null as <paramref name="BootId"/>.</param>
/// <param name="LastBootInfo">The kernel's own words (<c>last_boot_info</c>).</param>
internal sealed record PreviousTrace(StoredBoot Finder, Guid? BootId, string? Clock, string LastBootInfo)
{
    /// <summary>Null while it is not there as a whole.</summary>
    public static PreviousTrace? TryOpen(StoredBoot finder)
    {
        string path = Path.Combine(StorePaths.Previous(finder.Folder), GuestPrevious.Info);
        if (!File.Exists(path))
        {
            return null;
        }
        string[] halves = Encoding.UTF8.GetString(File.ReadAllBytes(path)).Split("\n\n", 2);
        string[] words = halves[0].Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
        return new PreviousTrace(finder, Guid.TryParse(ValueOf("boot"), out Guid bootId) ? bootId : null, ValueOf("clock"), halves.Length > 1 ? halves[1] : "");

        string? ValueOf(string key) => Array.IndexOf(words, key) is >= 0 and int at && at + 1 < words.Length ? words[at + 1] : null;
    }

    /// <summary>The recording of a boot that died, from the persistent ring; null when none was found.</summary>
    public static BootRecording? TryOpenOf(StoredGuest guest, StoredBoot dead)
    {
        int place = guest.Boots.ToList().FindIndex(b => b.Name == dead.Name);
        for (int i = place + 1; i < guest.Boots.Count; i++)
        {
            // Without a mark it can only be of the boot right before.
            if (TryOpen(guest.Boots[i]) is PreviousTrace found && (found.BootId is Guid id ? id == dead.Record?.BootId : i == place + 1))
            {
                return BootRecording.OpenPrevious(dead, found.Finder);
            }
        }
        return null;
    }
}
