using Microsoft.Extensions.Logging;
using VsockPair.Options;

namespace VsockPair.Watch;

/// <summary>What the watches of all machines share.</summary>
internal sealed record WatchParts(
    CollectorOptions Options, CaseFolders Cases, DumpBrake Brake, MemoryCapture Capture, PauseEstimate Pauses, BootFinder Boots, EventFeed Feed, IdentityFolder Identities, CaseChild Child,
    TimeProvider Time, ILogger<MachineWatch> Log)
{
    /// <summary>The name under which a guest is stored: the configuration's, where it knows the machine's UUID.</summary>
    public string GuestOf(MachineIdentity machine) => Options.Guests.FirstOrDefault(g => g.Uuid is not null && g.Uuid == machine.Uuid)?.Name ?? machine.Name;

    public CaseKeeper KeeperOf(string guest) => new(guest, Options, Cases, Brake, Capture, Boots, Feed, Child, Log);
}
