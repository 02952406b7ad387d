using VsockPair.GuestAgent.Connections;
using VsockPair.Linux;

namespace VsockPair.GuestAgent;

/// <summary>Session after session until the agent is to stop. A host that is away is said once, and again when the reason changes.</summary>
internal sealed class ConnectLoop(Agent agent)
{
    public void Run()
    {
        Backoff backoff = new(agent.Timings);
        string? lastFault = null;
        while (!agent.Stop.IsRequested)
        {
            agent.Control?.Step();
            agent.Persistent?.Step();
            long start = Environment.TickCount64;
            try
            {
                using AgentSession session = AgentSession.Open(agent);
                lastFault = null;
                session.Run();
            }
            catch (Exception e) when (e is LinuxException or RefusedException)
            {
                if (e.Message != lastFault && !agent.Stop.IsRequested)
                {
                    AgentLog.Warning($"no session with {agent.Host.Target}: {e.Message}; retrying");
                    lastFault = e.Message;
                }
            }
            if (Environment.TickCount64 - start >= agent.Timings.Settled.TotalMilliseconds)
            {
                backoff.Reset();
            }
            Wait(backoff.NextMilliseconds());
        }
        agent.Trace?.StopRecording();
        agent.Control?.RestoreAtStop();
    }

    // Streams that end wake this thread too; only time or a stop ends the wait.
    private void Wait(int milliseconds)
    {
        Recurring wait = new(TimeSpan.FromMilliseconds(milliseconds));
        while (!agent.Stop.IsRequested && !wait.IsDue())
        {
            SocketWait.Sleep(agent.Stop.Wake, wait.MillisecondsLeft);
        }
    }
}
