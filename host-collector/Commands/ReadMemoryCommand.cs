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
        string? missing = PrintkRing.Write(kernel, TextWriter.Null, PrintkLimits.Standing).Missing;
        string? missingToo = ReadLists(kernel, knowledge);
        return missing is not null && missingToo is not null ? $"{missing}; {missingToo}" : missing ?? missingToo;
    }

    /// <summary>What is found by the kernel's stored types and symbols: the rings that the agent had not read to their end, and the tasks.</summary>
    private static string? ReadLists(KernelMemory kernel, GuestKnowledge knowledge)
    {
        if (StoredKernel.TryFind(knowledge.Store, kernel.Info, knowledge.Boot, out string fault) is not StoredKernel stored)
        {
            return fault;
        }
        List<string> faults = [];
        if (FtraceRings.TryOpen(kernel, stored.Types, stored.Addresses, out fault) is FtraceRings rings)
        {
            FtraceRings.Touch(rings.Open(FtraceRings.AgentInstance, faults));
        }
        else
        {
            faults.Add(fault);
        }
        if (TaskList.TryRead(kernel, stored.Types, stored.Addresses, out fault) is null)
        {
            faults.Add(fault);
        }
        return faults.Count == 0 ? null : string.Join("; ", faults);
    }

    /// <summary>What is stored of the boot that stands still, the newest of its guest. A guest without an agent has none.</summary>
    private sealed class GuestKnowledge
    {
        public GuestKnowledge(string store, string guest)
        {
            Store = store;
            Boot = StoredGuest.Names(store).Contains(guest) ? StoredGuest.Open(store, guest).NewestBoot : null;
            VmcoreInfoPlace = Boot is null ? [] : new BootMetadata(store, Boot).Read("vmcoreinfo") ?? [];
        }

        public string Store { get; }

        public StoredBoot? Boot { get; }

        public byte[] VmcoreInfoPlace { get; }
    }
}
