using VsockPair.GuestAgent.Tests.Sessions;
using VsockPair.GuestAgent.Tracing;

namespace VsockPair.GuestAgent.Tests;

public sealed class DynamicDebugTests : IDisposable
{
    private readonly FakeGuest _guest = new();

    [Fact]
    public void Sites_with_flags_become_queries_for_exactly_these()
    {
        const string Control = """
            # filename:lineno [module]function flags format
            init/main.c:1152 [main]initcall_blacklist =p "blacklisting initcall %s\n"
            lib/kobject.c:233 [kobject]kobject_add_internal =_ "kobject: [%s] =p: %s\n"
            drivers/x.c:7 [x]probe =pmf "a" class:DRM
            drivers/y.c:7 [y]probe =pt
            nonsense
            a:b ] [ =p
            """;

        Dictionary<string, string> sites = DynamicDebug.Parse(Control);

        Assert.Equal(
            ["file drivers/x.c line 7 module x func probe =pmf", "file drivers/y.c line 7 module y func probe =pt", "file init/main.c line 1152 module main func initcall_blacklist =p"],
            sites.Select(s => $"{s.Key} {s.Value}").Order(StringComparer.Ordinal));
    }

    [Fact]
    public void What_a_killed_agent_has_left_is_restored()
    {
        _guest.Write("proc/dynamic_debug/control", "");
        _guest.Write("run/vsockpair-agent/dynamic_debug", "file init/main.c line 1152 module main func initcall_blacklist =p\n");

        _ = new DynamicDebug(_guest.Paths);

        Assert.Equal("file init/main.c line 1152 module main func initcall_blacklist =p", _guest.Read("proc/dynamic_debug/control"));
        Assert.False(File.Exists(Path.Combine(_guest.Paths.State, "dynamic_debug")));
    }

    [Fact]
    public void Lines_that_change_nothing_are_refused_and_so_is_a_kernel_without_it()
    {
        Assert.Contains("no dynamic_debug", new DynamicDebug(_guest.Paths).Apply(["module kvm +p"]), StringComparison.Ordinal);
        _guest.Write("proc/dynamic_debug/control", "");
        Assert.Contains("change nothing", new DynamicDebug(_guest.Paths).Apply(["module kvm +p"]), StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_guest.Paths.State, "dynamic_debug")));
    }

    public void Dispose() => _guest.Dispose();
}
