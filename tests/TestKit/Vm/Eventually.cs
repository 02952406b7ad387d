using System.Diagnostics;

namespace VsockPair.TestKit.Vm;

/// <summary>Waits for a condition that no event announces.</summary>
public static class Eventually
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    /// <param name="what">What is waited for; the error says it.</param>
    /// <param name="guests">Guests whose console explains a failure.</param>
    public static Task TrueAsync(Func<bool> condition, TimeSpan timeout, string what, params Guest[] guests) =>
        TrueAsync(() => Task.FromResult(condition()), timeout, what, guests);

    /// <inheritdoc cref="TrueAsync(Func{bool}, TimeSpan, string, Guest[])"/>
    public static async Task TrueAsync(Func<Task<bool>> condition, TimeSpan timeout, string what, params Guest[] guests)
    {
        long start = Stopwatch.GetTimestamp();
        while (!await condition())
        {
            if (Stopwatch.GetElapsedTime(start) > timeout)
            {
                string consoles = string.Concat(guests.Select(guest => "\n" + guest.DescribeConsole()));
                throw new GuestException($"waited {timeout.TotalSeconds:0.#} s in vain for: {what}{consoles}");
            }

            await Task.Delay(Pause);
        }
    }
}
