namespace VsockPair.Watch;

/// <summary>What libvirt does by itself when a domain panics whose <c>on_crash</c> is not preserve.</summary>
internal sealed class LibvirtPanic(LibvirtMachine machine, DomainXml xml) : IManagedPanic
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    /// <summary>A domain that stands so long without libvirt being at work on it: its dump has failed, and it does no more.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    public string Reason => xml.OnCrash == DomainXml.Preserve
        ? "libvirt had ended the domain before its memory could be read, although its on_crash was preserve when it was last looked at"
        : $"on_crash of this domain is {xml.OnCrash}, so libvirt had ended it before its memory could be read; to change that: {DomainXml.PreserveCommand(machine.Domain.Argument)}";

    public async Task<ManagedOutcome> WaitAsync(DateTimeOffset crashed, CancellationToken stop)
    {
        TimeSpan idle = TimeSpan.Zero;
        while (!machine.HasEnded && await machine.QueryStateAsync(stop).ConfigureAwait(false) == MachineState.Panicked)
        {
            if (idle > Patience)
            {
                return new ManagedOutcome(null, true, null);
            }
            idle = await machine.HasJobAsync(stop).ConfigureAwait(false) ? TimeSpan.Zero : idle + Interval;
            await Task.Delay(Interval, stop).ConfigureAwait(false);
        }
        if (machine.HasEnded && !machine.IsGone)
        {
            // Its dump may not be whole; it is looked for again with the next connection.
            throw new MachineException("libvirt is gone, and what it has made of a panic is not known");
        }
        string folder = LibvirtDumps.Folder();
        return LibvirtDumps.Find(folder, machine.Id, machine.Domain.Name, crashed) is string dump ? new ManagedOutcome(dump, false, null)
            : !xml.IsDumpedByLibvirt ? new ManagedOutcome(null, false, Reason)
            : new ManagedOutcome(null, false, $"on_crash of this domain is {xml.OnCrash}, but {folder} has no dump of it: see libvirt's log");
    }
}
