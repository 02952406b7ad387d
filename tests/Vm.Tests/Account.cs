using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using VsockPair.TestKit.Store;
using VsockPair.TestKit.Vm;
using Xunit.Abstractions;

namespace VsockPair.Vm.Tests;

/// <summary>The account of one vCPU: what the guest's kernel says it generated against what the host stored and declared lost.</summary>
internal sealed record Account(int Cpu, RingStats Guest, long Stored, long Removed, long RingLoss, long TransportLoss)
{
    /// <summary>Reads both sides. The agent must have ended, so that the guest's figures stand still.</summary>
    public static async Task<Account> TakeAsync(AgentGuest guest, StoredGuest stored, int cpu)
    {
        StoredBoot boot = stored.OnlyBoot;
        string stream = string.Create(CultureInfo.InvariantCulture, $"cpu{cpu}");
        IReadOnlyList<JsonNode> losses = boot.Losses;
        return new Account(
            cpu,
            await guest.StatsAsync(cpu),
            boot.Events(cpu),
            stored.Removed(boot, stream).Sum("retention", stream, "events"),
            losses.Sum("ring", stream, "events"),
            losses.Sum("transport", stream, "events"));
    }

    /// <summary>
    /// Runs a test whose accounts must be exact each time, and without loss at least once in three: the ring bridges half a second, and a test machine that
    /// emulates more vCPUs than it has cores sometimes stands still for longer.
    /// </summary>
    public static async Task UntilLosslessAsync(ITestOutputHelper output, Func<Task<IReadOnlyList<Account>>> run)
    {
        const int Attempts = 3;
        for (int attempt = 1; attempt <= Attempts; attempt++)
        {
            IReadOnlyList<Account> accounts = await run();
            long lost = accounts.Sum(account => account.RingLoss + account.TransportLoss);
            output.WriteLine($"attempt {attempt}: {lost} events lost");
            if (lost == 0)
            {
                return;
            }
        }
        Assert.Fail($"none of {Attempts} attempts was without loss");
    }

    /// <summary>Takes, prints and checks every vCPU: generated = stored + declared lost, event for event.</summary>
    public static async Task<IReadOnlyList<Account>> CheckAllAsync(
        AgentGuest guest, StoredGuest stored, ITestOutputHelper output, [CallerMemberName] string test = "")
    {
        List<Account> accounts = [];
        for (int cpu = 0; cpu < guest.Cpus; cpu++)
        {
            Account account = await TakeAsync(guest, stored, cpu);
            output.Measured($"{guest.Name} cpu{cpu}: generated {account.Guest.Generated} = stored {account.Stored} + removed {account.Removed}"
                + $" + ring {account.RingLoss} + transport {account.TransportLoss}", test);
            accounts.Add(account);
        }
        foreach (Account account in accounts)
        {
            Assert.True(account.Stored > 0, $"cpu{account.Cpu} stored nothing");
            Assert.Equal(0, account.Guest.Entries);
            Assert.Equal(account.Guest.Lost, account.RingLoss);
            Assert.Equal(account.Guest.Generated, account.Stored + account.Removed + account.RingLoss + account.TransportLoss);
        }
        return accounts;
    }
}
