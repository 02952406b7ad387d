using VsockPair.Watch;

namespace VsockPair.HostCollector.Tests.Watch;

public sealed class QmpPanicActionTests
{
    [Theory]
    [InlineData("qemu-system-x86_64 -m 512", "shutdown")]
    [InlineData("qemu-system-x86_64 -action panic=none -m 512", "none")]
    [InlineData("qemu-system-x86_64 -action reboot=reset,panic=exit-failure,shutdown=pause", "exit-failure")]
    [InlineData("qemu-system-x86_64 -action panic=none --action panic=pause", "pause")]
    [InlineData("qemu-system-x86_64 -action panic=none -action watchdog=reset", "none")]
    [InlineData("qemu-system-x86_64 -action panic=explode", "shutdown")]
    [InlineData("qemu-system-x86_64 -action", "shutdown")]
    public void The_former_action_is_that_of_the_command_line(string commandLine, string action) =>
        Assert.Equal(action, QmpPanicAction.OfCommandLine(commandLine.Split(' ')));

    [Fact]
    public void A_process_that_cannot_be_seen_has_QEMUs_default() => Assert.Equal("shutdown", QmpPanicAction.Former(0));
}
