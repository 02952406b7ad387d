using VsockPair.Protocol;
using VsockPair.Tracing;

namespace VsockPair.Shared.Tests;

public sealed class TraceMessageTests
{
    [Fact]
    public void Control_hello_of_the_first_agents_has_no_capabilities_and_no_clock()
    {
        const int BootClockBytes = 9;
        byte[] bytes = ProtocolExamples.All["hello-control"].Bytes();
        // One field less, and its bytes gone: an agent that does not tell its clock. Then another: one that answers no requests.
        foreach ((int fields, int gone, AgentCapabilities? capabilities) in ((int, int, AgentCapabilities?)[])[(17, BootClockBytes, AgentCapabilities.TraceControl), (16, BootClockBytes + 1, null)])
        {
            bytes[6]--;
            Assert.True(Frame.TryDecode(bytes.AsSpan(Frame.PrefixBytes, bytes.Length - Frame.PrefixBytes - gone), out Hello hello));
            Assert.Equal((fields, capabilities, null), (hello.Fields, hello.Control.Capabilities, hello.Control.BootClock));
            byte[] again = new byte[Wire.MaxFrameBytes];
            Assert.Equal(bytes.Length - gone, Frame.Encode(hello, again));
        }
    }

    [Theory]
    [InlineData("sched")]
    [InlineData("irq:irq_handler_entry")]
    [InlineData("ext4:ext4_*")]
    [InlineData("i?8042:*")]
    [InlineData("vmx-x:a-b")]
    public void Names_of_events_are_let_in(string name) => Assert.Null(Fault(TraceSettings.None with { Events = [name] }));

    [Theory]
    [InlineData("")]
    [InlineData(":")]
    [InlineData("sched:")]
    [InlineData(":x")]
    [InlineData("a:b:c")]
    [InlineData("..")]
    [InlineData("../../x")]
    [InlineData("a/b")]
    [InlineData("sched:sched_switch ")]
    [InlineData("a\nb")]
    [InlineData("schéd")]
    [InlineData("!sched")]
    public void What_is_no_event_is_refused(string name) => Assert.Contains("is no event", Fault(TraceSettings.None with { Events = [name] }), StringComparison.Ordinal);

    [Theory]
    [InlineData("kmem:kmalloc bytes_req > 4096")]
    [InlineData("sched:sched_switch prev_comm ~ \"a*\" && !(next_pid == 0)")]
    public void Filters_of_one_event_are_let_in(string filter) => Assert.Null(Fault(TraceSettings.None with { Filters = [filter] }));

    [Theory]
    [InlineData("bytes_req > 4096")]
    [InlineData("kmem bytes_req > 4096")]
    [InlineData("kmem:*  x == 1")]
    [InlineData("kmem:kmalloc")]
    [InlineData("kmem:kmalloc  ")]
    [InlineData("kmem:kmalloc 0")]
    [InlineData("kmem:kmalloc a == 1\nb == 2")]
    [InlineData("kmem:../x a == 1")]
    [InlineData("kmem:kmalloc ü == 1")]
    public void What_is_no_filter_of_one_event_is_refused(string filter) => Assert.NotNull(Fault(TraceSettings.None with { Filters = [filter] }));

    [Theory]
    [InlineData("vfs_read")]
    [InlineData("tcp_*")]
    [InlineData("*_lock")]
    [InlineData("foo.isra.0")]
    public void Patterns_of_functions_are_let_in(string name) => Assert.Null(Fault(Tracer(name)));

    [Theory]
    [InlineData("*")]
    [InlineData("a*")]
    [InlineData("vfs_read:traceoff")]
    [InlineData(":mod:ext4")]
    [InlineData("!vfs_read")]
    [InlineData("1234")]
    [InlineData("vfs read")]
    [InlineData("a/b/c")]
    [InlineData("")]
    public void What_is_no_function_is_refused(string name) => Assert.Contains("is no function", Fault(Tracer(name)), StringComparison.Ordinal);

    [Theory]
    [InlineData("module kvm +p")]
    [InlineData("file lib/kobject.c line 200-300 =pmfl")]
    [InlineData("func kobject_* format \"kobject: '%s'\" +pt")]
    [InlineData("format nosuch -p")]
    [InlineData("module * func tcp_* +p")]
    public void Queries_of_dynamic_debug_are_let_in(string query) => Assert.Null(Fault(TraceSettings.None with { DynamicDebug = [query] }));

    [Theory]
    [InlineData("+p")]
    [InlineData("module kvm")]
    [InlineData("module kvm +")]
    [InlineData("module kvm +x")]
    [InlineData("module  +p")]
    [InlineData("module kvm; module x +p")]
    [InlineData("module kvm +p; module x +p")]
    [InlineData("module kvm +p\nmodule x +p")]
    [InlineData("module * +p")]
    [InlineData("file *.c +p")]
    [InlineData("func ?? module ** line 1-99999 +p")]
    [InlineData("line 100-99999 +p")]
    [InlineData("format % +p")]
    [InlineData("class DRM +p")]
    [InlineData("format \"a; b\" +p")]
    [InlineData("format \"a b +p")]
    [InlineData("file \"a b\" +p")]
    [InlineData("")]
    public void What_is_no_query_of_dynamic_debug_is_refused(string query) =>
        Assert.Contains("is no line for dynamic_debug", Fault(TraceSettings.None with { DynamicDebug = [query] }), StringComparison.Ordinal);

    [Fact]
    public void Tracer_and_functions_go_together_and_only_two_tracers_do()
    {
        Assert.NotNull(Fault(TraceSettings.None with { Tracer = TraceNames.Function }));
        Assert.NotNull(Fault(TraceSettings.None with { Functions = ["vfs_read"] }));
        Assert.NotNull(Fault(Tracer("vfs_read") with { Tracer = "wakeup" }));
        Assert.Null(Fault(Tracer("vfs_read") with { Tracer = TraceNames.FunctionGraph }));
    }

    [Fact]
    public void Numbers_and_the_whole_have_limits()
    {
        Assert.NotNull(Fault(TraceSettings.None with { BufferKb = Wire.MinTraceBufferKb - 1 }));
        Assert.NotNull(Fault(TraceSettings.None with { BufferKb = Wire.MaxTraceBufferKb + 1 }));
        Assert.NotNull(Fault(TraceSettings.None with { Events = [new string('a', 129)] }));
        Assert.NotNull(Fault(TraceSettings.None with { Filters = ["a:b " + new string('x', Wire.MaxStringBytes - 4)] }));
        Assert.NotNull(TraceNames.FaultOf(TraceSettings.None, Wire.MaxTraceSeconds + 1));
        Assert.Null(Fault(TraceSettings.None with { Events = [.. Enumerable.Repeat(new string('a', 128), 32)] }));
        Assert.NotNull(Fault(TraceSettings.None with { Events = [.. Enumerable.Repeat(new string('a', 128), 33)] }));
    }

    [Fact]
    public void More_items_than_a_list_may_have_are_no_message()
    {
        byte[] frame = new byte[Wire.MaxFrameBytes];
        Assert.True(Decodes(Wire.MaxTraceItems));
        Assert.False(Decodes(Wire.MaxTraceItems + 1));

        bool Decodes(int items)
        {
            int bytes = Frame.Encode(new TraceRequest(1, TraceVerb.Set, TraceSettings.None with { Events = [.. Enumerable.Repeat("a", items)] }, 0), frame);
            return Frame.TryDecode(frame.AsSpan(Frame.PrefixBytes, bytes - Frame.PrefixBytes), out TraceRequest _);
        }
    }

    private static TraceSettings Tracer(string function) => TraceSettings.None with { Tracer = TraceNames.Function, Functions = [function] };

    private static string? Fault(TraceSettings settings) => TraceNames.FaultOf(settings, 0);
}
