using VsockPair.Options;

namespace VsockPair.Watch;

/// <summary>The QMP sockets that were named, and those whose folders come and go.</summary>
internal sealed class QmpSource(IReadOnlyList<QmpSpec> specs, TimeProvider time) : IMachineSource
{
    public IEnumerable<MachineEndpoint> Find()
    {
        foreach (QmpSpec spec in specs)
        {
            switch (spec)
            {
                case QmpSocket socket:
                    yield return Endpoint(socket.Name, socket.Path);
                    break;
                case QmpTemplate template:
                    foreach (string name in template.Paths.FindNames().Where(n => GuestName.IsValid(n) && File.Exists(template.Paths.PathOf(n))))
                    {
                        yield return Endpoint(name, template.Paths.PathOf(name));
                    }
                    break;
            }
        }
    }

    private MachineEndpoint Endpoint(string name, string path) =>
        new($"qmp:{path}", name, async stop => await QmpMachine.ConnectAsync(name, path, time, stop).ConfigureAwait(false));
}
