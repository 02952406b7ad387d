using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using VsockPair.Options;
using VsockPair.Sessions;
using VsockPair.Status;
using VsockPair.Storage;
using VsockPair.TestKit;

namespace VsockPair.Functional.Tests.Collector;

/// <summary>The real <c>serve</c> inside the test's process, with time limits of the test's choice.</summary>
internal sealed class InProcessCollector : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly Task<int> _run;
    private readonly TestStore _store;

    public InProcessCollector(TestStore store, Func<CollectorOptions, CollectorOptions>? change = null, SessionTimes? times = null, CompressionTimes? compression = null)
    {
        _store = store;
        CollectorOptions options = OptionsFor(store.Folder, store.VmmSocket);
        HostApplicationBuilder builder = ServeCommand.Build(change?.Invoke(options) ?? options, times ?? new SessionTimes());
        if (compression is not null)
        {
            builder.Services.AddSingleton(compression);
        }
        _run = Task.Run(() => ServeCommand.RunAsync(builder, _stop.Token));
        TestStore.Await(() => _run.IsCompleted || Answers(store.Folder), "the collector listens");
    }

    public static CollectorOptions OptionsFor(string store, string vmmSocket) => new()
    {
        StoreDirectory = store,
        Store = new StoreOptions { KeepFree = 0, TotalShare = 1 },
        Limits = new LimitOptions { GuestRate = 1L << 30, HostRate = 1L << 32 },
        Listen = new ListenOptions { Specs = [new HybridListen(vmmSocket, TestStore.GuestName)] },
    };

    public Task<int> Run => _run;

    public CollectorStatus Status => StatusOf(_store.Folder);

    public static CollectorStatus StatusOf(string store)
    {
        using ScriptedGuestLink link = new(Storage.StorePaths.ControlSocket(store));
        return System.Text.Json.JsonSerializer.Deserialize(link.AskLine("{\"command\":\"status\"}"), ControlJson.Default.CollectorStatus)!;
    }

    /// <summary>A socket's file is there a moment before anybody listens on it.</summary>
    private static bool Answers(string store)
    {
        try
        {
            StatusOf(store);
            return true;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.AddressNotAvailable or SocketError.ConnectionRefused)
        {
            // ENOENT or ECONNREFUSED.
            return false;
        }
    }

    public async Task<int> StopAsync()
    {
        await _stop.CancelAsync();
        return await _run.WaitAsync(ScriptedGuestLink.DefaultPatience);
    }

    public void Dispose()
    {
        StopAsync().GetAwaiter().GetResult();
        _stop.Dispose();
    }
}
