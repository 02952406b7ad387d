using VsockPair.Linux;
using VsockPair.Options;

namespace VsockPair.HostCollector.Tests.Options;

public sealed class ListenSpecTests
{
    [Fact]
    public void Vsock_is_read()
    {
        Assert.Equal(new VsockListen(new VsockAddress(Constants.VMADDR_CID_ANY, 829)), Good("vsock::829"));
        Assert.Equal(new VsockListen(new VsockAddress(2, 900)), Good("vsock:2:900"));
    }

    [Fact]
    public void Hybrid_is_read_with_a_name_or_a_place_for_one()
    {
        Assert.Equal(new HybridListen("/run/vms/web1.sock", "web1"), Good("hybrid:/run/vms/web1.sock=web1"));
        Assert.Equal(new HybridListen("/run/a=b/vm.sock", "web1"), Good("hybrid:/run/a=b/vm.sock=web1"));
        Assert.Equal(new HybridTemplate("/run/vms/", "/vm.sock"), Good("hybrid:/run/vms/{name}/vm.sock"));
        Assert.Equal(new HybridTemplate("/run/vm-", ".sock"), Good("hybrid:/run/vm-{name}.sock"));
    }

    [Theory]
    [InlineData("vsock::829")]
    [InlineData("vsock:2:829")]
    [InlineData("hybrid:/run/vms/web1.sock=web1")]
    [InlineData("hybrid:/run/vms/{name}/vm.sock")]
    public void Text_form_is_what_was_read(string text) => Assert.Equal(text, Good(text).ToString());

    [Theory]
    [InlineData("")]
    [InlineData("829")]
    [InlineData("tcp::829")]
    [InlineData("vsock")]
    [InlineData("vsock:")]
    [InlineData("vsock:829")]
    [InlineData("vsock::")]
    [InlineData("vsock::0")]
    [InlineData("vsock::4294967295")]
    [InlineData("vsock::99999999999")]
    [InlineData("vsock:host:829")]
    [InlineData("hybrid:")]
    [InlineData("hybrid:/run/vm.sock")]
    [InlineData("hybrid:/run/vm.sock=")]
    [InlineData("hybrid:/run/vm.sock=../x")]
    [InlineData("hybrid:/run/vm.sock=cid-7")]
    [InlineData("hybrid:run/vm.sock=web1")]
    [InlineData("hybrid:/run/=web1")]
    [InlineData("hybrid:/run/{name}/{name}.sock")]
    [InlineData("hybrid:{name}/vm.sock")]
    public void Anything_else_is_refused_with_a_reason(string text)
    {
        Assert.Null(ListenSpec.TryParse(text, out string fault));
        Assert.NotEmpty(fault);
        Assert.Contains($"\"{text}\"", fault, StringComparison.Ordinal);
    }

    [Fact]
    public void Path_must_leave_room_for_the_port()
    {
        string longest = "/" + new string('a', 102);
        Assert.Equal(new HybridListen(longest, "web1"), Good($"hybrid:{longest}=web1"));
        Assert.Null(ListenSpec.TryParse($"hybrid:{longest}a=web1", out string fault));
        Assert.Contains("at most 103 bytes", fault, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("web1", true)]
    [InlineData("a", true)]
    [InlineData("9-b_c.D", true)]
    [InlineData("", false)]
    [InlineData(".hidden", false)]
    [InlineData("-f", false)]
    [InlineData("a/b", false)]
    [InlineData("a b", false)]
    [InlineData("ü", false)]
    [InlineData("a\u001b", false)]
    [InlineData("cid-7", false)]
    [InlineData("cid-seven", true)]
    public void Names_are_safe_as_folder_argument_and_column(string name, bool valid)
    {
        Assert.Equal(valid, GuestName.IsValid(name));
        Assert.True(GuestName.IsValid(new string('a', 64)));
        Assert.False(GuestName.IsValid(new string('a', 65)));
    }

    [Fact]
    public void Unresolved_guest_has_a_safe_name_that_nobody_can_take()
    {
        Assert.True(GuestName.IsSafe(GuestName.Unresolved(7)));
        Assert.False(GuestName.IsValid(GuestName.Unresolved(7)));
    }

    private static ListenSpec Good(string text)
    {
        ListenSpec? spec = ListenSpec.TryParse(text, out string fault);
        Assert.Equal("", fault);
        return spec!;
    }
}
