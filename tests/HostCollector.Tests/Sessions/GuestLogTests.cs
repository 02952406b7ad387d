using Microsoft.Extensions.Logging;
using VsockPair.HostCollector.Tests.Storage;
using VsockPair.Listening;
using VsockPair.Options;
using VsockPair.Sessions;

namespace VsockPair.HostCollector.Tests.Sessions;

public sealed class GuestLogTests : IDisposable
{
    private readonly StoreFixture _fixture = new();
    private readonly LineLogger _log = new();
    private readonly StillClock _clock = new();
    private readonly Guest _guest;

    public GuestLogTests() =>
        _guest = new Guest(new GuestIdentity(StoreFixture.GuestName, "socket"), _fixture.Guest, new LimitOptions(), new SessionTimes(), _clock, _log);

    [Fact]
    public void Ten_lines_a_second_and_then_how_many_were_left_out()
    {
        for (int i = 0; i < 25; i++)
        {
            _guest.Report(Violation.BadFrame, "kmsg");
        }
        Assert.Equal(10, _log.Lines.Count);
        _clock.Advance(TimeSpan.FromSeconds(1));
        _guest.Report(Violation.BadFrame, "kmsg");
        Assert.Equal(12, _log.Lines.Count);
        Assert.Contains("15 more lines", _log.Lines[10], StringComparison.Ordinal);
        Assert.Equal(26, _guest.Violations["BadFrame"]);
    }

    [Theory]
    [InlineData(Violation.UnwalkableEvents, false)]
    [InlineData(Violation.CountersDoNotAddUp, false)]
    [InlineData(Violation.BadBulkRecord, true)]
    public void A_line_says_whether_the_connection_goes_on(object violation, bool closes)
    {
        _guest.Report((Violation)violation, "cpu3");
        Assert.EndsWith(closes ? "dropping the connection." : "ignoring.", Assert.Single(_log.Lines), StringComparison.Ordinal);
    }

    public void Dispose() => _fixture.Dispose();

    private sealed class StillClock : TimeProvider
    {
        private DateTimeOffset _now = DateTimeOffset.UnixEpoch;

        public override DateTimeOffset GetUtcNow() => _now;

        public void Advance(TimeSpan time) => _now += time;
    }

    private sealed class LineLogger : ILogger
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Lines.Add(formatter(state, exception));
    }
}
