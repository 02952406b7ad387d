using System.Globalization;
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

    /// <summary>Takes, prints and checks every vCPU: generated = stored + declared lost, event for event.</summary>
    public static async Task<IReadOnlyList<Account>> CheckAllAsync(AgentGuest guest, StoredGuest stored, ITestOutputHelper output)
    {
        List<Account> accounts = [];
        for (int cpu = 0; cpu < guest.Cpus; cpu++)
        {
            Account account = await TakeAsync(guest, stored, cpu);
            output.WriteLine($"{guest.Name} cpu{cpu}: generated {account.Guest.Generated} = stored {account.Stored} + removed {account.Removed}"
                + $" + ring {account.RingLoss} + transport {account.TransportLoss}");
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
