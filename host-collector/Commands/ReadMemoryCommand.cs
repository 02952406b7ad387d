using VsockPair.History;
using VsockPair.Memory;

namespace VsockPair.Commands;

/// <summary>
/// <c>vsockpair read-memory NAME</c>, a child of <c>watch</c>: runs the readers over a guest that stands still. What they make of it is thrown away; what they touched, <c>watch</c>
/// has kept, and the same readers find it in the file later. In order of worth, for the time may end at any moment.
/// </summary>
internal static class ReadMemoryCommand
{
    /// <param name="answers">From <c>watch</c>.</param>
    /// <param name="requests">To <c>watch</c>.</param>
    public static int Run(CommandContext context, string guest, Stream answers, Stream requests)
    {
        RemoteMemory memory = RemoteMemory.Open(answers, requests);
        string? missing = ReadAll(memory, new GuestKnowledge(context.Store, guest));
        if (missing is not null)
        {
            context.Error.WriteLine($"{guest}: {missing}");
        }
        memory.End();
        return missing is null ? ExitCode.Done : ExitCode.Failed;
    }

    private static string? ReadAll(RemoteMemory memory, GuestKnowledge knowledge)
    {
        if (!VmcoreInfoSource.TryFind(memory, memory.Notes, knowledge.VmcoreInfoPlace, out VmcoreInfo? info, out string? reason)
            || !KernelMemory.TryOpen(memory, info, out KernelMemory? kernel, out reason))
        {
            return reason;
        }
        return PrintkRing.Write(kernel, TextWriter.Null, PrintkLimits.Standing).Missing;
    }

    /// <summary>What is stored of the boot that stands still, the newest of its guest. A guest without an agent has none.</summary>
    private sealed class GuestKnowledge
    {
        public GuestKnowledge(string store, string guest)
        {
            StoredBoot? boot = StoredGuest.Names(store).Contains(guest) ? StoredGuest.Open(store, guest).NewestBoot : null;
            VmcoreInfoPlace = boot is null ? [] : new BootMetadata(store, boot).Read("vmcoreinfo") ?? [];
        }

        public byte[] VmcoreInfoPlace { get; }
    }
}
