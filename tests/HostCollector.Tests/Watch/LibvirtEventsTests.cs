using VsockPair.Watch;

namespace VsockPair.HostCollector.Tests.Watch;

/// <summary>Numbers as libvirt-domain.h has them, each written out here once more.</summary>
public sealed class LibvirtEventsTests
{
    [Theory]
    [InlineData(8, 0, MachineEventKind.Panicked, null)]
    [InlineData(8, 1, MachineEventKind.CrashLoaded, null)]
    [InlineData(3, 0, MachineEventKind.Stopped, null)]
    [InlineData(4, 0, MachineEventKind.Resumed, null)]
    [InlineData(6, 1, MachineEventKind.Shutdown, "guest")]
    [InlineData(6, 99, MachineEventKind.Shutdown, null)]
    internal void What_says_something_of_a_crash_is_taken(int happened, int detail, MachineEventKind kind, string? said) =>
        Assert.Equal((kind, said), LibvirtEvents.OfLifecycle(happened, detail));

    [Theory]
    [InlineData(0, 0)] // defined
    [InlineData(2, 0)] // started
    [InlineData(5, 2)] // stopped, crashed: its QEMU has died, which is no panic
    [InlineData(8, 2)]
    [InlineData(-1, 0)]
    public void Everything_else_is_not(int happened, int detail) => Assert.Null(LibvirtEvents.OfLifecycle(happened, detail));

    [Theory]
    [InlineData(1, 1, MachineState.Running)]
    [InlineData(1, 10, MachineState.Running)] // running (crashed): what libvirt says after it has restarted it
    [InlineData(2, 0, MachineState.Running)]
    [InlineData(3, 1, MachineState.Paused)]
    [InlineData(3, 10, MachineState.Paused)]
    [InlineData(3, 5, MachineState.Other)] // I/O error
    [InlineData(4, 0, MachineState.Shutdown)]
    [InlineData(5, 0, MachineState.Shutdown)]
    [InlineData(6, 1, MachineState.Panicked)]
    [InlineData(7, 0, MachineState.Other)] // suspended by the guest's power management
    [InlineData(0, 0, MachineState.Other)]
    internal void States_are_told_apart(int state, int reason, MachineState known) => Assert.Equal(known, LibvirtEvents.OfState(state, reason));

    [Fact]
    public void A_watchdogs_action_has_libvirts_name() => Assert.Equal(("none", "reset", "17", "-1"), (LibvirtEvents.OfWatchdog(0), LibvirtEvents.OfWatchdog(2), LibvirtEvents.OfWatchdog(17), LibvirtEvents.OfWatchdog(-1)));

    [Theory]
    [InlineData("qemu:///system", null)]
    [InlineData("qemu:///session", null)]
    [InlineData("qemu+unix:///system?socket=/run/x.sock", null)]
    [InlineData("qemu+ssh://root@host/system", "is on another host")]
    [InlineData("qemu+ssh:///system", "is on another host")]
    [InlineData("qemu://host/system", "is on another host")]
    [InlineData("lxc:///", "is not libvirt's QEMU driver")]
    [InlineData("://", "is not libvirt's QEMU driver")]
    public void Only_a_libvirt_of_this_host_can_be_watched(string uri, string? reason)
    {
        string? why = LibvirtUri.WhyNot(uri);
        Assert.Equal(reason is null, why is null);
        Assert.Contains(reason ?? "", why ?? "", StringComparison.Ordinal);
    }
}
