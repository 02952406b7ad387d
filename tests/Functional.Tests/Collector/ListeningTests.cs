using System.Net.Sockets;
using VsockPair.Options;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

public sealed class ListeningTests : IDisposable
{
    private readonly TestStore _store = new();

    [Fact]
    public void Vms_that_appear_later_are_listened_for_and_their_sockets_go_with_them()
    {
        string vms = Directory.CreateDirectory(Path.Combine(_store.Root, "vms")).FullName;
        Directory.CreateDirectory(Path.Combine(vms, "early"));
        Directory.CreateDirectory(Path.Combine(vms, "not a name"));
        using (InProcessCollector collector = Template(vms))
        {
            string late = Path.Combine(Directory.CreateDirectory(Path.Combine(vms, "late")).FullName, "vm.sock_829");
            TestStore.Await(() => File.Exists(late), "the late VM's socket is there");
            using ScriptedGuest guest = new(late);
            guest.ConnectPatiently();
            Assert.Equal("late", collector.Status.Guests.Single().Name);
            // In one step: between the socket's removal and the folder's the collector would make another.
            Directory.Move(Path.GetDirectoryName(late)!, Path.Combine(_store.Root, "gone"));
            Thread.Sleep(1200);
            Directory.CreateDirectory(Path.GetDirectoryName(late)!);
            TestStore.Await(() => File.Exists(late), "the VM that came back has its socket");
            Assert.Empty(Directory.GetFiles(Path.Combine(vms, "not a name")));
        }
        Assert.Empty(Directory.GetFiles(vms, "*_829", SearchOption.AllDirectories));
    }

    [Fact]
    public void A_socket_gets_its_mode_though_the_folders_owner_puts_a_link_in_its_place()
    {
        const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        const UnixFileMode ForGroup = Private | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;
        string vms = Directory.CreateDirectory(Path.Combine(_store.Root, "vms")).FullName;
        string secret = Path.Combine(_store.Root, "secret");
        File.WriteAllText(secret, "of somebody else");
        File.SetUnixFileMode(secret, Private);
        string[] sockets = [.. Enumerable.Range(0, 200).Select(i => Path.Combine(Directory.CreateDirectory(Path.Combine(vms, $"vm{i:D3}")).FullName, "vm.sock_829"))];
        using CancellationTokenSource done = new();
        Thread owner = new(() =>
        {
            HashSet<string> left = [.. sockets];
            while (!done.IsCancellationRequested)
            {
                foreach (string socket in left)
                {
                    if (File.Exists(socket))
                    {
                        File.Move(socket, socket + ".moved");
                        File.CreateSymbolicLink(socket, secret);
                        left.Remove(socket);
                        break;
                    }
                }
            }
        });
        owner.Start();
        using (InProcessCollector collector = Template(vms))
        {
            TestStore.Await(() => sockets.All(s => File.Exists(s + ".moved")), "the owner of the folders was everywhere");
            done.Cancel();
            owner.Join();
        }
        Assert.All(sockets, s => Assert.Equal(ForGroup, File.GetUnixFileMode(s + ".moved")));
        Assert.Equal(Private, File.GetUnixFileMode(secret));
    }

    [Fact]
    public void A_stale_socket_is_replaced_and_a_live_one_is_left_alone()
    {
        string vms = Directory.CreateDirectory(Path.Combine(_store.Root, "vms")).FullName;
        string stale = Path.Combine(Directory.CreateDirectory(Path.Combine(vms, "stale")).FullName, "vm.sock_829");
        using (Socket dead = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            // .NET removes the file of a socket that it bound when it closes it, so the dead one is a copy under another name.
            dead.Bind(new UnixDomainSocketEndPoint(stale + "x"));
            File.Move(stale + "x", stale);
        }
        using InProcessCollector collector = Template(vms);
        using ScriptedGuest guest = new(stale);
        guest.ConnectPatiently();
        string live = Path.Combine(Directory.CreateDirectory(Path.Combine(_store.Root, "live")).FullName, "vm.sock_829");
        using Socket owner = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        owner.Bind(new UnixDomainSocketEndPoint(live));
        owner.Listen();
        Directory.Move(Path.GetDirectoryName(live)!, Path.Combine(vms, "live"));
        Thread.Sleep(2500);
        using ScriptedGuestLink link = new(Path.Combine(vms, "live", "vm.sock_829"));
        Assert.DoesNotContain(collector.Status.Guests, g => g.Name == "live");
        Assert.True(owner.Poll(TimeSpan.FromSeconds(5), SelectMode.SelectRead));
    }

    [Fact]
    public async Task A_socket_that_cannot_be_bound_ends_the_collector_with_one_clear_line()
    {
        using Socket owner = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        owner.Bind(new UnixDomainSocketEndPoint(_store.Socket));
        owner.Listen(1);
        // Its queue is full, and nobody accepts: asking whether somebody listens may not wait for that.
        List<Socket> waiting = [];
        for (int i = 0; i < 4; i++)
        {
            waiting.Add(new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false });
            try
            {
                waiting[^1].Connect(new UnixDomainSocketEndPoint(_store.Socket));
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.WouldBlock)
            {
                break;
            }
        }
        using InProcessCollector collector = new(_store);
        Assert.Equal(1, await collector.Run.WaitAsync(ScriptedGuestLink.DefaultPatience));
        Assert.True(File.Exists(_store.Socket));
        waiting.ForEach(socket => socket.Dispose());
    }

    public void Dispose() => _store.Dispose();

    private InProcessCollector Template(string vms) =>
        new(_store, o => o with { Listen = o.Listen with { Specs = [.. o.Listen.Specs, new HybridTemplate(vms + "/", "/vm.sock")] } });
}
