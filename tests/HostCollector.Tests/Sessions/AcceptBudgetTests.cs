using VsockPair.Sessions;

namespace VsockPair.HostCollector.Tests.Sessions;

public sealed class AcceptBudgetTests
{
    [Fact]
    public void Lets_an_agent_with_many_vcpus_come_back_twice_and_a_flood_pass_at_its_rate()
    {
        SteppedClock clock = new();
        AcceptBudget budget = new(5, clock);
        Assert.True(budget.TryTake(expected: 4));
        Assert.Equal(20 + 2 * 103 - 1, TakeAll(budget, expected: 103));
        clock.Advance(TimeSpan.FromSeconds(8));
        Assert.Equal(5 * 8 + 103, TakeAll(budget, expected: 103));
        // A claim is granted once.
        Assert.Equal(0, TakeAll(budget, expected: 103));
    }

    private static int TakeAll(AcceptBudget budget, int expected)
    {
        int taken = 0;
        while (taken < 10_000 && budget.TryTake(expected))
        {
            taken++;
        }
        return taken;
    }
}
