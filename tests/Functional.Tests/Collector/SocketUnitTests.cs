using VsockPair.Linux;
using VsockPair.TestKit;
using static VsockPair.Linux.Constants;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>Sockets that are handed over at descriptor 3 (sd_listen_fds(3)). What works is tested where AF_VSOCK may be listened on: Vm.Tests, AfVsockTests.</summary>
public sealed class SocketUnitTests : IDisposable
{
    private readonly TestStore _store = new();

    [Fact]
    public void A_listening_socket_of_another_family_ends_the_collector_and_says_what_the_unit_must_have()
    {
        using Fd socket = StreamSocket.ListenUnix(Path.Combine(_store.Root, "other.sock"));
        using CollectorProcess collector = StartWith(socket, "$$");
        Assert.Equal(1, collector.AwaitExit());
        Assert.Contains("inherited descriptor 3: a socket unit for serve has ListenStream=vsock::829 only", collector.Output, StringComparison.Ordinal);
    }

    [VsockFact]
    public void A_vsock_socket_that_does_not_listen_ends_the_collector()
    {
        using Fd socket = Fd.Own(Sys.Socket(AF_VSOCK, SOCK_STREAM), "socket", "AF_VSOCK");
        using CollectorProcess collector = StartWith(socket, "$$");
        Assert.Equal(1, collector.AwaitExit());
        Assert.Contains("inherited descriptor 3: it does not listen", collector.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Sockets_that_were_meant_for_another_process_are_left_alone()
    {
        using Fd socket = StreamSocket.ListenUnix(Path.Combine(_store.Root, "other.sock"));
        using CollectorProcess collector = StartWith(socket, "1");
        using ScriptedGuest guest = new(_store.Socket);
        guest.ConnectPatiently();
        Assert.Equal(0, collector.Terminate());
    }

    public void Dispose() => _store.Dispose();

    /// <param name="processId">As the shell sees it: <c>$$</c> is the collector that it becomes.</param>
    private CollectorProcess StartWith(Fd socket, string processId)
    {
        LinuxException.Check(Sys.Fcntl(socket.Value, F_SETFD, 0), "fcntl F_SETFD", "test");
        return new CollectorProcess("bash", ["-c", $"exec 3<&{socket.Value}; LISTEN_PID={processId} LISTEN_FDS=1 exec dotnet \"$@\"", "bash", .. CollectorProcess.Arguments(_store)]);
    }
}
