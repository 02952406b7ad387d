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

    [Fact]
    public void Nothing_is_switched_before_what_was_is_kept()
    {
        _guest.Write("proc/dynamic_debug/control", "");
        // No file can have the name of a folder.
        Directory.CreateDirectory(Path.Combine(_guest.Paths.State, "dynamic_debug"));

        Assert.Contains("cannot be kept", new DynamicDebug(_guest.Paths).Apply(["module kvm +p"]), StringComparison.Ordinal);

        Assert.Equal("", _guest.Read("proc/dynamic_debug/control"));
    }

    [Fact]
    public void What_is_kept_before_takes_back_whatever_the_lines_did()
    {
        Dictionary<string, string> before = DynamicDebug.Parse("init/main.c:7 [main]start =p \"x\"\n");

        Assert.Equal(
            ["module kvm =_", "func tcp_* format \"a b\" =_", "file init/main.c line 7 module main func start =p"],
            DynamicDebug.UndoOf(["module kvm +p", "func tcp_* format \"a b\" =pt"], before).Select(u => $"{u.Site} {u.Flags}"));
    }

    public void Dispose() => _guest.Dispose();
}
