using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>The production path of AF_VSOCK: vhost_vsock on one side, a CID of its own on the other.</summary>
public sealed class NestedRigTests(ITestOutputHelper output)
{
    [Fact]
    [Trait("Category", "Soak")]
    public async Task Inner_guest_reaches_the_outer_one_under_its_own_cid()
    {
        string vsockCat = await StaticProgram.VsockCatAsync();
        await using NestedRig rig = await NestedRig.StartAsync(
            new GuestOptions { Name = "outer", MemoryMiB = 3072, Files = { ["/bin/vsock-cat"] = vsockCat } },
            new GuestOptions
            {
                Name = "inner",
                MemoryMiB = 256,
                Cpus = 1,
                Cid = 42,
                BootTimeout = TimeSpan.FromMinutes(6),
                Files = { ["/bin/vsock-cat"] = vsockCat },
            },
            outer => outer.RunAsync("vsock-cat -l 829 > /tmp/heard 2> /tmp/from &"));
        output.Measured($"outer booted in {rig.Outer.BootTime.TotalSeconds:0.0} s, inner in {rig.Inner.BootTime.TotalSeconds:0.0} s");

        (await rig.Inner.RunAsync("head -c 1000000 /dev/zero | vsock-cat 2 829")).EnsureSuccess();
        await Eventually.TrueAsync(
            async () => (await rig.Outer.RunAsync("pidof vsock-cat")).ExitCode != 0,
            TimeSpan.FromSeconds(60), "the listener's end", rig.Outer, rig.Inner);
        Assert.Equal("connection from CID 42\n", (await rig.Outer.RunAsync("cat /tmp/from")).Text);
        Assert.Equal("1000000\n", (await rig.Outer.RunAsync("wc -c < /tmp/heard")).Text);
    }
}
