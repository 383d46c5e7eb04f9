using System.Diagnostics;
using System.Net.Sockets;

namespace Vmm.ControlTests.Kit;

/// <summary>The program itself as a server.</summary>
internal sealed class ServeProcess
{
    readonly Process process;

    ServeProcess(Process process) => this.process = process;

    /// <summary>Starts <c>vmm serve --socket PATH</c> and waits until it listens.</summary>
    public static ServeProcess Start(string path)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "vmm.dll"), "serve", "--socket", path, "--log-level", "Warning"]);
        var server = new ServeProcess(Process.Start(start)!);
        for (var i = 0; !Listens(path); i++)
        {
            if (i == 600 || server.process.HasExited)
            {
                server.process.Kill();
                throw new IOException("vmm serve does not listen");
            }

            Thread.Sleep(50);
        }

        return server;
    }

    /// <summary>Sends a signal; the exit code.</summary>
    public int End(string signal)
    {
        using var kill = Process.Start("kill", ["-" + signal, process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
        if (!process.WaitForExit(TimeSpan.FromSeconds(30)))
        {
            process.Kill();
            return -1;
        }

        return process.ExitCode;
    }

    static bool Listens(string path)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
