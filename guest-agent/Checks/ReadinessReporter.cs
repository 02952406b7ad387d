using VsockPair.GuestAgent.Connections;
using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Checks;

/// <summary>Tells the collector of a session what <see cref="GuestReadiness"/> finds: at its start, and again when it has changed, as when kdump's kernel was loaded.</summary>
internal sealed class ReadinessReporter(GuestPaths paths, FrameChannel channel)
{
    private byte[] _last = [];

    public void Report()
    {
        int bytes = Frame.Encode(new Protocol.Readiness(GuestReadiness.Look(paths)), channel.Output);
        ReadOnlySpan<byte> frame = channel.Output[..bytes];
        if (!frame.SequenceEqual(_last))
        {
            _last = frame.ToArray();
            channel.SendOutput(bytes);
        }
    }
}
